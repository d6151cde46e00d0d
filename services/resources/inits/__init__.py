"""Initialisation of hosts: runs that are followed, so that hosts on which they succeed move on."""
