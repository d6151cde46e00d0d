"""What scripts wrote: kept in pieces, read from an offset, searched across hosts.

The first HEAD_BYTES are in the host's report; the rest is in chunks. `pieces` puts them together and `search` finds
text in them, both purely; `store` keeps chunks; `service` holds the use cases.
"""
