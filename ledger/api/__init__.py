"""HTTP: reading the journal."""
