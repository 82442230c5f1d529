"""Folders of images to records and back."""
