"""A manager's duties while nothing is wrong: ping, stand by, guard former primaries, reopen, settle what was left.

What is done once the primary is dead is not here.
"""
