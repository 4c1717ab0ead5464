"""Access control: credentials, sessions, signing in, and the decision who may read."""
