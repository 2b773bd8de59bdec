"""What a configuration is read from, as blocks of named values: MHA's own files, TOML, a command that prints.

Nothing here knows which names exist.
"""
