"""Collectors: stored scripts that are run on demand and by interval, and whose output tells virtual resources."""
