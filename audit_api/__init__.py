"""The audit API: reads the audit log over HTTP, for programs and for the Activity Log page."""
