"""The live stream: what happens to the runs that a browser watches, as server-sent events.

One reader of the EVENTS stream per process (`feed`), one bounded mailbox per browser (`mailbox`), one follower per
host whose output is watched (`follower`). Everything that is sent can be had again, so a browser that is too slow is
cut and comes back with the number of the last event it has.
"""
