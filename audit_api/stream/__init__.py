"""What is sent piece by piece: the live stream and exports."""
