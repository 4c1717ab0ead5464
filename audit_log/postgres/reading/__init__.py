"""Reads what calls left behind: the tables, and how often what occurs in them."""
