"""Pages for browsers: the Activity Log, which has no build step, and the API reference."""
