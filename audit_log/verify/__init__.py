"""Verifies the seal: the database against a policy and checkpoints kept elsewhere."""
