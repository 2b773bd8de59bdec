"""Configuration files written: a server's block put in or taken out, one form turned into the other.

What a value means is not decided here; `config.models` and `config.loader` do that.
"""
