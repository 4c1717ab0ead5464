-- When a record arrived, beside when its sidecar says that the call was made: the two differ after
-- an outage, and when the sidecar's clock is wrong. It is the beginning of the transaction that
-- wrote it, so that a batch has one arrival; appended_in (0006) says what a reader has seen.
-- Rows that are there already get none: nobody knows when they arrived, and nothing is rewritten.
ALTER TABLE mcp_audit_log ADD COLUMN arrived_at timestamptz;
ALTER TABLE mcp_audit_log ALTER COLUMN arrived_at SET DEFAULT now();
CREATE INDEX mcp_audit_log_by_time_of_arrival ON mcp_audit_log (arrived_at)
    WHERE arrived_at IS NOT NULL;
-- Few, if any: those whose sidecar's clock was ahead.
CREATE INDEX mcp_audit_log_by_clock_ahead ON mcp_audit_log (created_at DESC, id DESC)
    WHERE created_at - arrived_at > interval '5 seconds';

ALTER TABLE mcp_tool_invocation ADD COLUMN arrived_at timestamptz;
ALTER TABLE mcp_tool_invocation ALTER COLUMN arrived_at SET DEFAULT now();
CREATE INDEX mcp_tool_invocation_by_time_of_arrival ON mcp_tool_invocation (arrived_at)
    WHERE arrived_at IS NOT NULL;
CREATE INDEX mcp_tool_invocation_by_clock_ahead
    ON mcp_tool_invocation (created_at DESC, id DESC)
    WHERE created_at - arrived_at > interval '5 seconds';
