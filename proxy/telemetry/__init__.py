"""Telemetry: health, the log of calls, tracing and the webhook."""
