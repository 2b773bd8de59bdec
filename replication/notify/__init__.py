"""Telling people and programs: events, notification services, the log. Beside the path of a failover."""
