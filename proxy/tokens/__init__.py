"""The token cache: the token behind a token hash, from memory."""
