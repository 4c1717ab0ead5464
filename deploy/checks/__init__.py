"""`podwarden-audit check`: what a service needs, looked at without starting it."""
