"""What the journals tell afterwards: each failover, switch and rejoin as one frozen model, and how it is shown again.

`reading` makes the model of the entries of one journal, and is pure; `journals` finds them on the disk; `text` and
`pages` show what it holds. What a journal does not say (an older version wrote it, it was cut short) is None in
the model, and said to be unknown.
"""
