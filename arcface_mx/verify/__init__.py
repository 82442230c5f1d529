"""Verification: a model and files in, metrics out."""

from arcface_mx.verify.sets import SetResult, verify_set

__all__ = ["SetResult", "verify_set"]
