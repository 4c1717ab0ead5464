"""Tool calls that outlast the request that began them."""
