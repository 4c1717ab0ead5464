"""The sidecar: identify, forward, record."""
