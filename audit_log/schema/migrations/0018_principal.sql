-- On whose behalf a tool was called: as a trusted proxy says, and as the client claims.
ALTER TABLE mcp_tool_invocation ADD COLUMN principal text, ADD COLUMN claims jsonb;
CREATE INDEX mcp_tool_invocation_by_principal
    ON mcp_tool_invocation (principal) WHERE principal IS NOT NULL;
