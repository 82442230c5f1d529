"""A progress bar for a terminal."""

from __future__ import annotations

import sys
from typing import Iterable, Optional, TypeVar

Item = TypeVar("Item")


def progress(items: Iterable[Item], description: str, unit: str = "it", total: Optional[int] = None) -> Iterable[Item]:
    """Iterate over `items` and show a bar if standard error is a terminal. Logs stay readable.

    `total` is the number of items, for iterables without a length.
    """
    from tqdm import tqdm

    return tqdm(items, desc=description, unit=unit, total=total, disable=not sys.stderr.isatty(), leave=False)
