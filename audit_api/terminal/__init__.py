"""The audit log in a terminal: `podwarden-audit query`, `tail`, `export` and the others."""
