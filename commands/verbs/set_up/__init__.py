"""What `mha init` does beside writing files: it asks running servers, makes accounts, learns host keys, and checks."""
