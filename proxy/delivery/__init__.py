"""Delivery: records from the journal to PostgreSQL or NATS."""
