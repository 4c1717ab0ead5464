"""Queries: their declaration, their parameters, and the methods that serve them."""
