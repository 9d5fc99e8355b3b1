"""
The project: the only place where modules meet.

It wires the six modules into one Django process (settings, URLs, Celery, admin site), serves the
few answers that are composed from several modules (`api/`), and starts everything on a bare
machine (`runtime/`). No business rule lives here.
"""
