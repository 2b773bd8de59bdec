"""What the commands do that a person runs on a database host."""
