"""Several managers and several clusters: who may act, proven by locks on the servers, and whose turn it is."""
