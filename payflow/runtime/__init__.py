"""
What starts PayFlow on a bare machine: an embedded PostgreSQL and a supervisor of child processes.

`python -m payflow.runtime` is what `make run` calls. Nothing here imports Django, so that it works
before there is a database and explains itself when something is missing; the one exception is
`wsgi.py`, which the web children load.
"""
