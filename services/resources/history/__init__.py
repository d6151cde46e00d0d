"""What became of each host: one entry for every change, written together with it."""
