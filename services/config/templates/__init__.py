"""Templates: named Jinja2 texts with versions, rendered for each host in a bounded child process."""
