"""HTTP: reading the trail."""
