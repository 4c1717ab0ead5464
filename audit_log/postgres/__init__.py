"""The audit log in PostgreSQL: connections, and all reads and writes."""
