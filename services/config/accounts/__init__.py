"""Accounts: which OS users scripts may run as, who may use them, and where.

`model` is pure, `deciding` says which account a run gets, `store` keeps them, `service` holds the use cases.
"""
