"""Rules: what an operator wants to be told of as it is recorded, and what it would have told.

A rule is a filter of the page, with what a filter cannot say: that an address or a tool is new to
a token, at which hours, and how often at most. The same judge holds entries of the past and of now
against it, so that a test against the past says what the rule will do.
"""
