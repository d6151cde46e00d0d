"""Which instance holds which run: one lease per instance, by the database's clock.

A run belongs to the instance named in it. When that instance's lease has run out, any other may take the run.
"""
