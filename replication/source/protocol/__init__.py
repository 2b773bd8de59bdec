"""The server's side of MySQL's protocol, as far as a replica's receiver uses it."""
