"""Stored scripts: texts that never change, their versions and states, and what runs when one is asked for.

`model`, `rights` and `parameters` are pure; `checking` asks the checkers; `comparing` and `searching` read texts;
`store` keeps them, `service` and `reading` hold the use cases.
"""
