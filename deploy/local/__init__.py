"""Everything on one machine: `python -m deploy.local`."""
