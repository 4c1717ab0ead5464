"""The reader: answers questions about the audit log."""
