"""The commands by noun. Each says in its help what to type, with examples that work."""
