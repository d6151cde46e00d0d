"""First start and the one-machine plane.

Makes what the others only use: operator, accounts and keys of the bus, the private CA and its certificates, the
servers' configurations; and runs hub, leaves, MongoDB, services and agents together for `make run` and `make demo`.
No other room but bench imports this one.
"""
