"""One failover as a whole: what it is about, what was rescued or lost, how it ended, and the report."""
