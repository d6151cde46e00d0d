"""What was asked and how it stands: start, list, show, stop, retry.

`model` is pure, `checks` says what is refused, `store` keeps runs and waves, `service` holds the use cases.
"""
