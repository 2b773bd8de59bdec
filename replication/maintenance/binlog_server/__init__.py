"""A binlog server: it copies a primary's binary logs, for ever, and follows a new primary."""
