"""Secrets with which new hosts may enrol: for one IDC, for a time, so many times."""
