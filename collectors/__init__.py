"""Programs that report virtual machines and database instances. Each is a whole script: they are sent to hosts as they
are, and import nothing of Drover."""
