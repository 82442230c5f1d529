"""Everyday questions about photos: their embeddings, whether two show one person, who it is."""
