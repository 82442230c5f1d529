"""A progress bar on a terminal, nothing elsewhere (logs stay readable)."""

from __future__ import annotations

import sys
from typing import Iterable, Optional, TypeVar

Item = TypeVar("Item")


def progress(items: Iterable[Item], text: str, unit: str = "it", total: Optional[int] = None) -> Iterable[Item]:
    """`items`, with tqdm's bar on standard error when that is a terminal; `total`: where len() does not tell."""
    from tqdm import tqdm

    return tqdm(items, desc=text, unit=unit, total=total, disable=not sys.stderr.isatty(), leave=False)
