"""The way back of a server that a failover replaced: what a person is told, and making it a replica."""
