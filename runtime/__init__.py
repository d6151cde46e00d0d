"""How a process lives: settings, logs, the bus, the database, health, keys, start and stop.

Knows no job, host or user. `bus`, `settings`, `log`, `process`, `ids` and `signing` serve every process; `mongo` and
`health` are for services only, so that an agent carries neither a database driver nor a web framework.
"""
