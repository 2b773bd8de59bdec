"""Telling people and programs: events, notification services, the log. Beside the path of a failover.

Services' libraries (apprise) run in a process of their own (`worker`), each attempt in a fork of it, and not in threads
of the manager. Measured on 2 cores: in a thread, a library that calls os._exit or crashes ends the manager; one bad
regular expression holds the interpreter's lock, and the pings with it, for its 35 s; 20 messages that leak 50 MB each
bring the manager from 132 MB to 1,132. In a fork each of these costs that one attempt. The process costs 0.5 s of a
core to start and 67 MB (in the manager 17 MB), and it goes on telling when the manager has ended.
"""
