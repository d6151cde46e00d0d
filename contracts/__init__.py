"""What crosses the bus and HTTP: messages, calls, events, subjects, error kinds.

Pure data on the standard library and msgspec: no I/O, no clock, no library of a transport. Whoever speaks with
Drover needs only this room.
"""
