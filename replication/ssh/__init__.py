"""A database host over SSH: login, one kept session, commands and files, each with a deadline.

What is asked of a host is written elsewhere (`replication.probes`, `replication.fencing`).
"""
