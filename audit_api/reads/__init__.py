"""Who read the audit log: each read is recorded before it is answered."""
