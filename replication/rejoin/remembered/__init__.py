"""What this host remembers of servers that were replaced, and of rejoins: read from its journals and holds."""
