"""What a cluster is at one moment: servers, channels, positions, GTID sets, answers to questions. Frozen and pure.

No file, session or clock is touched here.
"""
