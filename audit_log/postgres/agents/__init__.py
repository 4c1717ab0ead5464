"""Agents: their sessions, as the tool calls tell of them."""
