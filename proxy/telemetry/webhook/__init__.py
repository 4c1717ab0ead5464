"""The webhook: sends events that deserve attention to a receiver outside."""
