"""Verification: a model and files in, metrics out.

`arcface_mx.verify(...)` calls the function of `api.py`.
"""

from arcface_mx.util.callable_package import make_callable
from arcface_mx.verify.sets import SetResult, verify_set

__all__ = ["SetResult", "verify_set"]

make_callable(__name__)
