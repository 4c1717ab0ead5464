"""The seal's formats (RFC 6962 trees, C2SP notes and checkpoints): pure functions over values."""
