"""Measurements that anybody can run: `make bench-fleet`, `-plane`, `-ingest`, `-idle`.

Each sets up an installation of its own (hub and leaves with TLS and credentials, a replica set, the services as
processes), warms up, and measures in rounds: in each round the limit, which is the least that any program would need
for the same work, and then Drover, so that both see the same machine. The last line of output is one JSON object.

`installation`, `hosts`, `children`, `cpu`, `rounds` and `running` are what the four have in common; docs/bench.md
tells what the figures mean.
"""
