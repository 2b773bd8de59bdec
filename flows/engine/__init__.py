"""Prefect around what is done: runs, steps, records, events, logs.

No step of a failover is here.
"""
