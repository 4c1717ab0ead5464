"""The token cache: who is behind a token hash, answered from memory."""
