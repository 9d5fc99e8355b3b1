"""What the module can do, one verb per file."""
