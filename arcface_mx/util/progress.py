"""Progress of long work: a bar on a terminal, and a message now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from typing import Iterable, Iterator, Optional, Sized, TypeVar

LOG = logging.getLogger(__name__)
INTERVAL = 30.0  # seconds between two messages

Item = TypeVar("Item")


def shows_bar() -> bool:
    """Whether a progress bar is shown: on a terminal, where messages of level INFO are wanted."""
    return sys.stderr.isatty() and LOG.isEnabledFor(logging.INFO)


def progress(items: Iterable[Item], description: str, unit: str = "it", total: Optional[int] = None) -> Iterable[Item]:
    """Iterate over `items` and show the progress, where messages of level INFO are wanted.

    Standard error gets a bar if it is a terminal. Otherwise a message is logged every 30 seconds.
    `total` is the number of items, for iterables without a length.
    """
    if not LOG.isEnabledFor(logging.INFO):
        return items
    if total is None and isinstance(items, Sized):
        total = len(items)
    if not sys.stderr.isatty():
        return _logged(items, description, total)
    from tqdm import tqdm

    return tqdm(items, desc=description, unit=unit, total=total, leave=False)


def _logged(items: Iterable[Item], description: str, total: Optional[int]) -> Iterator[Item]:
    """Yield the items, and log how many are done every `INTERVAL` seconds."""
    start = said = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - said >= INTERVAL:
            said = now
            LOG.info(_state(description, done, total, now - start))
        yield item


def _state(description: str, done: int, total: Optional[int], seconds: float) -> str:
    """Say how much is done and, if the total is known, how long the rest takes at this speed."""
    if total is None:
        return f"{description}: {done}"
    minutes = seconds / done * (total - done) / 60
    left = f"about {minutes:.0f} min" if minutes >= 1 else "less than a minute"
    return f"{description}: {done} of {total}, {left} left"
