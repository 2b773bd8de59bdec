"""Fencing: the old primary is stopped or closed, and held closed when it comes back."""
