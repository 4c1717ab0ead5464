-- Who called a tool: the agent's session (an id of ours that stands for it), and what its MCP client
-- says of itself. API calls reach these by their tool call and have no copies.
ALTER TABLE mcp_tool_invocation
    ADD COLUMN session uuid,
    ADD COLUMN protocol_version text,
    ADD COLUMN client_name text,
    ADD COLUMN client_version text,
    ADD COLUMN user_agent text;
-- The calls of one session in their order, and whether one is its last.
CREATE INDEX mcp_tool_invocation_by_session
    ON mcp_tool_invocation (session, created_at DESC) WHERE session IS NOT NULL;
-- As in 0007: equal keys are stored once, and a common value is found by time.
CREATE INDEX mcp_tool_invocation_by_client
    ON mcp_tool_invocation (client_name) WHERE client_name IS NOT NULL;
CREATE INDEX mcp_tool_invocation_by_user_agent
    ON mcp_tool_invocation (user_agent text_pattern_ops) WHERE user_agent IS NOT NULL;
