"""Questions: their parameters, and the entries that answer them."""
