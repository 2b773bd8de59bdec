"""Checks of the servers, their channels and accounts."""
