"""The webhook: tells somebody outside of what deserves attention."""
