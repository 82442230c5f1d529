"""Messages of the library on the terminal. The library itself logs, and prints nothing."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Callable, Iterator

ROOT = "arcface_mx"
RUN_LOG = "arcface_mx.train"  # the log of a run is what `train` prints


class _Terminal(logging.Handler):
    """Print the log of a run to standard output, and every other message to standard error."""

    def __init__(self, translate: Callable[[str], str]) -> None:
        super().__init__()
        self._translate = translate

    def emit(self, record: logging.LogRecord) -> None:
        text = self._translate(record.getMessage())
        if record.levelno == logging.WARNING:
            text = "warning: " + text
        stream = sys.stdout if (record.name + ".").startswith(RUN_LOG + ".") else sys.stderr
        print(text, file=stream, flush=True)


@contextlib.contextmanager
def messages_on_terminal(translate: Callable[[str], str]) -> Iterator[None]:
    """Print the messages of `arcface_mx` from level INFO. `translate` turns names of arguments into flags."""
    logger, handler = logging.getLogger(ROOT), _Terminal(translate)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # a handler that another library gave the root would print everything twice
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
