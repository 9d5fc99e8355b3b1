"""HTTP: reading assessments."""
