"""The tail: what only a dead primary's disk holds is saved, proven, and brought to the replicas.

The source that serves it is `replication.source`.
"""
