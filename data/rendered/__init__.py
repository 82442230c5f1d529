"""Rendered faces: identities and photos drawn from CC0 morph targets, for training and verification.

A identity is a function of (seed, part, identity), a photo of (seed, part, identity, photo): see
`streams`. What is drawn, with ranges and reasons, is on README.md of this folder.
"""
