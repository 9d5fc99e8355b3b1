"""The rule engine, in plain Python."""
