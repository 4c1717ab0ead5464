"""Files of the seal: the key that signs, and checkpoints that are kept in a folder."""
