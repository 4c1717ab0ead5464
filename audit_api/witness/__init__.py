"""The audit API as a witness of the sidecars' logs (c2sp.org/tlog-witness), with a key of its own.

A witness signs a checkpoint only if it continues the one that it signed before. So nobody can show
one history to one reader and another to the next without its help, not even who owns the database
and the sidecar's key. Its key and what it has signed lie in a folder of its own, out of the reach
of database and sidecars.
"""
