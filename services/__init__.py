"""The five services. Each answers calls on the bus and owns its database; none imports another."""
