"""People: who they are, their passwords, their roles."""
