"""The scripts of recipes/bench/, which are no package."""

from __future__ import annotations

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "recipes", "bench"))

import cases  # noqa: E402
import compare  # noqa: E402
import embed  # noqa: E402
import head  # noqa: E402
import reader  # noqa: E402
import step  # noqa: E402
import timing  # noqa: E402
import verify  # noqa: E402

__all__ = ["cases", "compare", "embed", "head", "reader", "step", "timing", "verify"]
