"""The way in for people and their programs: HTTP in front, the bus behind.

Knows who asks (people, sessions, API tokens) and sends that along; what they may do is decided where a call is
answered. Every HTTP route but login, logout, live stream and download comes from the contracts.

Answers   gateway.{people,roles,sessions,lockouts,tokens}.*, and HTTP below /api
Hears     evt.jobs.> (the EVENTS stream) and out.*.<host>.* for the hosts that somebody watches
Owns      the database `gateway`: people, roles, sessions, api_tokens, login_failures
"""
