"""HTTP/1.1 as values: heads, fields, bodies, errors. Pure: no asyncio, nothing of the sidecar."""
