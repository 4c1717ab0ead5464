"""What the database holds, read without trust."""
