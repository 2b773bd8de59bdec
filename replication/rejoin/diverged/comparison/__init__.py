"""What only the old server has against what the new primary changed meanwhile: rows, keys, the choice, the report."""
