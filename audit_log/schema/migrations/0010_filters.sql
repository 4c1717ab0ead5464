-- The indexes of 0007 on columns of which one value is most of the log. They leave that value out;
-- and where little is left then, an index can afford to be in the order of the answer.
DROP INDEX mcp_audit_log_by_method, mcp_audit_log_by_status, mcp_audit_log_by_outcome;
CREATE INDEX mcp_audit_log_by_method ON mcp_audit_log (method) WHERE method <> 'GET';
CREATE INDEX mcp_audit_log_by_status ON mcp_audit_log (status_code, created_at DESC, id DESC)
    WHERE status_code <> 200;
CREATE INDEX mcp_audit_log_by_outcome ON mcp_audit_log (outcome, created_at DESC, id DESC)
    WHERE outcome <> 'completed';
