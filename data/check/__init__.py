"""Validation and repair of face sets."""
