"""Executed relay logs that replicas keep for a failover: found, linked, and purged."""
