"""`drover`, the command line: everything it knows it learns over HTTP.

Operations come from `contracts`; `client.py` turns any Call into a request, so that a new call needs no new client.
stdout carries data, stderr carries talk, and the exit status (`exits.py`) tells a script how it went.
"""
