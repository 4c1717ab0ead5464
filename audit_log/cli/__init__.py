"""The commands of `python -m audit_log`."""
