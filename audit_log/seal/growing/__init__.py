"""How a log grows: its state, and what is stored of its growth."""
