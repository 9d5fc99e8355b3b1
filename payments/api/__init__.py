"""HTTP: taking payments and reading them."""
