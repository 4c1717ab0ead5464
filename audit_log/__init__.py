"""What the sidecar and the audit API share: the record, the schema and the store."""
