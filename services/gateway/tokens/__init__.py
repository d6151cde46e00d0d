"""API tokens: what programs present instead of a password. Shown once, kept as a hash."""
