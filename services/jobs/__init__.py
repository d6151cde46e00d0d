"""Runs scripts on hosts, exactly once, and remembers everything about it.

Answers   jobs.runs.start|list|show|hosts|output|search|stop|retry, jobs.at.<instance>.live; agents: jobs.body
Announces jobs.run, jobs.outcomes, jobs.output
Owns      the collections runs, waves, outcomes, output, leases, quarantine (docs/documents.md)

Rooms: `runs` what was asked and how it stands, `dispatch` from a run to its hosts, `results` from the hosts into
MongoDB, `output` reading and searching what scripts wrote, `leases` which instance holds which run.

MongoDB is the truth. An instance holds a run in memory only to send and to wait; whoever takes it over reads run,
waves and outcomes, sends again, and the agents' journals make that harmless.
"""
