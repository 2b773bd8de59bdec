"""The steps that bring a saved tail to a replica."""
