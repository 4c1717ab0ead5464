"""What each process needs: settings, logs, listening sockets, TLS, health and metrics."""
