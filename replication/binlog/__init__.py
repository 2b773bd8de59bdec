"""Binary and relay logs read by ourselves: events, transactions, and cuts that any ``mysqlbinlog`` can read."""
