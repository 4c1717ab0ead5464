"""What is stored of the seal, in tables of its own."""
