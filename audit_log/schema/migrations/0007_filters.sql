-- One index for each filter whose rare values would otherwise be sought through the whole log:
-- benchmarks/queries.py shows what each is for, and what they cost the writer together.
--
-- One column each: equal keys are stored once, so they stay small, and new rows of a common value
-- go to one page. A common value is found by time instead; the planner knows which is which.
-- Where one value is nearly all of the log, the index leaves it out.
CREATE INDEX mcp_audit_log_by_token_name ON mcp_audit_log (token_name);
CREATE INDEX mcp_audit_log_by_method ON mcp_audit_log (method);
CREATE INDEX mcp_audit_log_by_status ON mcp_audit_log (status_code) WHERE status_code <> 200;
CREATE INDEX mcp_audit_log_by_outcome ON mcp_audit_log (outcome) WHERE outcome <> 'completed';
CREATE INDEX mcp_audit_log_by_tool ON mcp_audit_log (tool) WHERE tool IS NOT NULL;
CREATE INDEX mcp_audit_log_by_client_ip ON mcp_audit_log (client_ip);
CREATE INDEX mcp_audit_log_by_path ON mcp_audit_log (path text_pattern_ops);
