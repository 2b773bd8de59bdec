"""Housekeeping beside failovers: binlog servers, relay logs, and tools for a database host."""
