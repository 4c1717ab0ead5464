"""Relaying: connections to clients and to the upstream, and the bytes between them."""
