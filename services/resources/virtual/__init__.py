"""Virtual machines and database instances of hosts, from the reports of collectors."""
