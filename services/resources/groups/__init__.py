"""Named sets of hosts: made by hand or by an expression, nested, and a few that exist by themselves.

Which hosts a group was given by hand stands in the hosts' own documents. So being in any number of nested groups is one
condition of one query, and a host that is retired leaves its groups with the same write.
"""
