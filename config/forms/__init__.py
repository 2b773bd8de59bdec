"""The two forms of a configuration, read into blocks of named values: MHA's own files and TOML.

Nothing here knows which names exist.
"""
