"""A failed server comes back: what it has beside the new primary, what may be done about it, and doing that."""
