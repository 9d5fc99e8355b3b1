"""HTTP answers that are composed from several modules, and the platform's own."""
