"""Which hosts are there: heartbeats and hellos, gathered for a second and written at once.

Every instance hears all of them. What one instance wrote, the others find written; a change of online or offline is
won by one of them, which announces it.
"""
