"""What commands show on a terminal: tables, trees, bars, live views, and the documents that programs read.

Views are made of what `replication` returns, and decide nothing. `terminal` has what all of them share.
"""
