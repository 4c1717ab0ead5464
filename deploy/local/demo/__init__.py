"""A small PodWarden to try the sidecar with: a few API routes and a real MCP server."""
