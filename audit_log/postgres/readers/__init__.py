"""Reads of the audit log, written and searched."""
