"""Delivery: records go from the journal to PostgreSQL or NATS, and old records are purged."""
