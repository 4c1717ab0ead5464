"""Rings found as files: which one a journal continues, and which have lost their journal."""
