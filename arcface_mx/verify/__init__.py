"""Verification: a model and files in, metrics out."""
