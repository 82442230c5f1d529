"""Rendered faces: people and photos drawn from CC0 morph targets, for training and verification.

A person is a function of (seed, part, person), a photo of (seed, part, person, photo): see
`streams`. What is drawn, with ranges and reasons, is on README.md of this folder.
"""
