"""How records are written for callers: JSON entries, NDJSON, CSV and OCSF."""
