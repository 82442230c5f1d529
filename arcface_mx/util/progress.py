"""Progress of long work: a bar on a terminal, and a message from time to time elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from typing import Iterable, Iterator, Optional, Sized, TypeVar

LOGGER = logging.getLogger(__name__)
MAX_SILENCE = 25.0  # seconds between two messages where standard error is no terminal

Item = TypeVar("Item")


def shows_bar() -> bool:
    """Whether a progress bar is shown: on a terminal, where messages of level INFO are wanted."""
    return sys.stderr.isatty() and LOGGER.isEnabledFor(logging.INFO)


def progress(items: Iterable[Item], description: str, unit: str = "it", total: Optional[int] = None) -> Iterable[Item]:
    """Iterate over `items` and show how far the work is, where messages of level INFO are wanted.

    A terminal gets a bar. Elsewhere a message is logged after every `MAX_SILENCE` seconds, so that short
    work is silent and logs stay readable. `total` is the number of items, for iterables without a length.
    """
    if not shows_bar():
        return _with_messages(items, description, unit, total)
    from tqdm import tqdm

    return tqdm(items, desc=description, unit=unit, total=total, leave=False)


def _with_messages(items: Iterable[Item], description: str, unit: str, total: Optional[int]) -> Iterator[Item]:
    total = len(items) if total is None and isinstance(items, Sized) else total
    start = said = time.monotonic()
    for count, item in enumerate(items):
        now = time.monotonic()
        if now - said >= MAX_SILENCE:
            left = f", {duration((now - start) / count * (total - count))} left" if total and count else ""
            LOGGER.info("%s: %s %s%s", description, f"{count}/{total}" if total else count, unit, left)
            said = now
        yield item


def duration(seconds: float) -> str:
    """Return a number of seconds as people say it: 45 s, 12 min, 3 h 20 min, 4.5 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"
