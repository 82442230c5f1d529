"""Everyday questions about images: their embeddings, whether two show one identity, and which."""
