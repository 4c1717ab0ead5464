"""Who calls a tool: the agent, its session and its MCP client."""
