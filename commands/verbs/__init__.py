"""The verbs of `mha`, one file each."""
