"""Ways to run it all."""
