"""Every way to look at a primary: ping, port, host, the replicas' hosts, and all of them at once.

What an answer means is decided in `replication.detection`.
"""
