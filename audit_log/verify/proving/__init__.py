"""What is proved of one log, and what became of each of its places."""
