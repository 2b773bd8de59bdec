"""What is drawn: boxes of servers, the look of every page, and the templates that put both into HTML or an image.

`boxes`, `bars` and `days` are plain data, `drawn` renders them by `templates/`. What is on a picture is decided
elsewhere (`incident`, `planned`).
"""
