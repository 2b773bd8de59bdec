"""Checks of the hosts: tools, rights, ways to them, scripts, and who would notice a silent primary."""
