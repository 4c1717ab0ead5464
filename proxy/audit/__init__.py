"""What is recorded of a call, and who made it."""
