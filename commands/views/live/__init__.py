"""A live view of clusters on a terminal: `glance` is what was seen, `screen` its picture, `looking` asks, `keys` acts.

`glance` and `screen` are pure; a look that hangs makes its picture old, and stops nothing else.
"""
