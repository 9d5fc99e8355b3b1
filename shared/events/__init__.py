"""
The public contracts: one file per publisher, one frozen dataclass per fact.

Kept free of imports on purpose: import an event from its publisher's file.
"""
