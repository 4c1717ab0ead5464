"""What the fork server of `program` imports last: no collection visits what is there by then.

A collection writes to every object that it visits, and a fork copies each page written to.
"""

import gc

gc.collect()
gc.freeze()
