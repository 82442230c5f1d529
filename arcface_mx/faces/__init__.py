"""Everyday questions about images of faces: their embeddings, whether two show one identity, and which."""
