"""Runs on every host: checks orders, runs them once, reports until the report is stored.

This file imports nothing: the spawner, which must stay small, lives in this package too.
"""
