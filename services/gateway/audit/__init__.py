"""The audit trail of all services, seen as one: listing and export, and the checkpoints that the gateway signs."""
