"""The incident as one page: a single HTML file that needs no network, no script and no colour to be read.

`timeline`, `topology` and `remains` are pure: an `Incident` in, plain data for the template out.
`page` renders them; the template escapes whatever a journal holds.
"""
