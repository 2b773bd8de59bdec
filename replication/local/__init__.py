"""The manager's own machine: its files, processes, signals and ports, and the scripts that the site runs there.

Nothing here knows what a primary is.
"""
