"""The ways in which data gets from one server to another: each ends with a whole copy, and where that stands."""
