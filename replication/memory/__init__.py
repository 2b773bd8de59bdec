"""What a manager remembers on its disk, so that the next process can go on: journal, held servers, status, spools.

Reading it is here; what follows from it is decided elsewhere.
"""
