"""A reader of our own for a binlog server: it has on disk what it acknowledges to a semi-synchronous primary."""
