"""The steps of a planned switch."""
