"""The Hub tunnel: relayed as it is, watched for the tool calls in it."""
