"""
`make demo`: the product's story, played over HTTP on a platform of its own.

It starts a PayFlow on a scratch home and a free port, is its merchant, and shows what happened. It
expects something of every answer, so it is also the shortest test of an installation. Like the
rest of `payflow.runtime` it needs neither Django nor a database of the caller's.
"""

from payflow.runtime.demo.paper import Differs, Paper
from payflow.runtime.demo.story import Story

__all__ = ["Differs", "Paper", "Story"]
