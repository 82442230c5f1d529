"""Build and search a gallery of known identities."""
