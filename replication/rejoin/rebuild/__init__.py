"""A server is given the data of another: which, how, at which place in the primary's log; and that it is the same."""
