"""What the sidecar says of itself and of its calls: health, logs, traces, webhook."""
