"""Shared by the sidecar, the ingest and the audit API: the record, the schema and the store."""
