"""Proofs that entries and tool calls are in the logs of the seal."""
