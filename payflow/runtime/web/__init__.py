"""
The web server: gunicorn's processes around waitress's connections, with a limit on everything.

A request takes a thread only when it has arrived as a whole, and an answer that is not read holds
none, so slow clients cost a socket each and nothing else. gunicorn keeps the processes and shares
the listening socket among them; waitress reads, parses and writes in one loop per process; the
application runs in a pool of threads. What both leave open is closed here: how long a client may
take (`limits`), what a request may look like (`request`), who is turned away when there are too
many (`server`), and how all of that is said (`refusal`). See docs/adr/0018-web-server.md.
"""
