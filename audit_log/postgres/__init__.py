"""The audit log in PostgreSQL: the one door, and what is written and read through it."""
