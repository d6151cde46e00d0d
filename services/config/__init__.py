"""Keeps what jobs are filled with: accounts, scripts, files, variables, templates.

Answers   config.*
Announces nothing yet
Owns      its collections in the database configuration (docs/documents.md)

A house of small rooms, one per concept, each reading use case (`service`), model (pure), store.
"""
