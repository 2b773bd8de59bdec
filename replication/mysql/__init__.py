"""A database server over its own protocol: a kept session, its errors as ours, and what it answers.

Versions and vendors are told apart in `dialects` alone.
"""
