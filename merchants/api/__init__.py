"""HTTP: registration, keys, and the authentication class that settings name."""
