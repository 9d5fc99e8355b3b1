"""
HTTP plumbing of every module's API.

Who calls, how errors look, what a body may contain, idempotency, waiting, pages and limits. The
only part of `shared` that knows Django REST framework.
"""
