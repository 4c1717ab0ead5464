"""MCP: which tool a request calls, how the tool call ended, and which API calls it caused."""
