"""When is a primary dead? What was seen, and the table that says what it means. Pure.

Who looks, and how, is in `replication.probes`.
"""
