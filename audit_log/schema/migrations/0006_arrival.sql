-- Which transaction wrote a record. Records arrive late (after an outage) and become visible in
-- another order than they were written in, so neither a time nor a number can tell what a reader
-- has seen. A snapshot of PostgreSQL can, and this column is what it is asked about (arrivals.py).
-- Rows that are there already get none: they are taken as seen by everybody, and nothing is
-- rewritten.
ALTER TABLE mcp_audit_log ADD COLUMN appended_in xid8;
ALTER TABLE mcp_audit_log ALTER COLUMN appended_in SET DEFAULT pg_current_xact_id();
CREATE INDEX mcp_audit_log_by_arrival ON mcp_audit_log (appended_in);
