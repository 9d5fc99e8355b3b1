"""
One story, told from the rows it left: events and listeners, calls, messages, books.

`gather` asks each module for its part, one after the other; `page` makes text of it.
"""
