-- One row per MCP tool call; the API calls that it caused name it in mcp_audit_log.
CREATE TABLE mcp_tool_invocation (
    id uuid PRIMARY KEY,
    token_id uuid,
    token_name text NOT NULL,
    tool text NOT NULL,
    created_at timestamptz NOT NULL,
    duration_ms real,
    outcome text NOT NULL,
    status_code smallint NOT NULL,
    error_code integer,
    api_calls integer NOT NULL,
    origin text NOT NULL,
    client_ip inet,
    request_id text,
    instance text NOT NULL
);
CREATE INDEX mcp_tool_invocation_newest ON mcp_tool_invocation (created_at DESC, id DESC);
CREATE INDEX mcp_audit_log_by_invocation ON mcp_audit_log (invocation_id)
    WHERE invocation_id IS NOT NULL;
