"""The seal: a tree over the lines of a journal, whose root is signed and kept elsewhere.

Theory of operation. The recorder gives each line of its journal a leaf, at a place that follows
from the line's number alone (`audit_log.seal.places`). When a batch is in the store, `Seal.take`
appends its leaves to the tree, stores the tiles that are full, and keeps the new state in memory
(`kept`); then the batch is committed. So only what is stored is sealed, and a kill between any two
steps leads to the same leaves at the same places.

Once a second `Checkpoints` signs the root: the state is brought to disk first, and the checkpoint
is published afterwards. So no state from before a published checkpoint can ever be gone on with,
and no two checkpoints contradict each other. While the disk fails nothing is signed; records are
stored all the same.
"""
