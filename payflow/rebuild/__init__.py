"""
`manage.py events rebuild`: the audit trail and the ledger once more, from the retained events.

    run         copies the events, lets a child process listen to them, compares story by story
    traces      what the events of a story left behind in the database of a process
    comparison  how two such traces differ

The child (`python -m payflow.rebuild`) is the same program with the other database as its own. It
only listens for the ledger and the trail, and prints the traces it finds afterwards.
"""

LISTENERS = ("ledger.post_movements", "audit.record_event")
"""Whose effects are rebuilt."""
