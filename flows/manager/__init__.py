"""The manager of a cluster: it watches, and starts the failover. And many of them in one process."""
