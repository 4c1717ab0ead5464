"""Pushes the log to receivers: OTLP and syslog, each with a mark of its own; rules to a webhook.

Theory of operation. A push is an export in parts, as a collector would fetch it, with a receiver
in place of a file: read a part, have the receiver take it, keep its mark, go on. The mark is all
that is kept. After a kill the part in hand is sent again: at least once, in the order of arrival.
PostgreSQL holds what waits, so a receiver may be away for as long as the log is kept, and neither
calls nor the writer notice. A rule is a push of what matches its filter, judged on the way.
"""
