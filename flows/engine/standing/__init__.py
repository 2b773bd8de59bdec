"""A flow run that stands ready: entered while all is well, acted in when it is needed."""
