"""A small app in a schema of its own, installed only while a test asks for it."""
