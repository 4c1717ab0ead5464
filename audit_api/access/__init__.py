"""Who may read the audit log."""
