"""What a person starting PayFlow may be told; the message is the whole story, no traceback."""


class CannotStart(Exception):
    """PayFlow, or a part of it, cannot be started; the message says why and what to do."""


class AlreadyRunning(CannotStart):
    """Another process holds this home; the message names it."""


class Cancelled(CannotStart):
    """Somebody asked to stop while something was still starting."""
