"""Anchors: places outside the database that keep checkpoints, so that no later one can lie."""
