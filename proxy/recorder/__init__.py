"""The recorder: a process beside the one that takes calls, which brings its records to the store.

Only the journal's ring is between the two, and a page on which the recorder says how it is. The
recorder may be killed, stopped or out of memory at any moment: calls do not notice, nothing is
lost, and it is started again (`keeper`).
"""
