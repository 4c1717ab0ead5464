"""The Hub tunnel: relayed unchanged, and read for the tool calls in it."""
