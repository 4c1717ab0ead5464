"""Where the log is read from: an audit API at a URL, or the database itself."""
