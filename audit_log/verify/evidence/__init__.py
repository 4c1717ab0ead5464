"""What is kept beside the database: policy, anchored checkpoints, and the last run."""
