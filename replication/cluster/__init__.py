"""All servers of one cluster together: warm sessions with each, and questions that need more than one of them.

What is done to them is in `replication.actions`.
"""
