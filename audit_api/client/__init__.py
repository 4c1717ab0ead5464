"""A client of the audit API: typed, asynchronous, and without anything of the service."""
