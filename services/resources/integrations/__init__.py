"""Programs that speak NATS: what each may call and hear stands in its credentials, and the broker holds it to that."""
