"""Variables of hosts: YAML documents per scope, merged by precedence, every effective value with its origin."""
