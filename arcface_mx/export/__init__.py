"""Writing trained networks for use elsewhere."""
