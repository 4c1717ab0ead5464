"""Understanding MCP: which tool a request calls, how it ended, and which API calls it caused."""
