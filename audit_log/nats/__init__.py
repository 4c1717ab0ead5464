"""The way through NATS JetStream: publisher, stream and ingest."""
