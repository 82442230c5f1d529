"""Ctrl-C, SIGTERM and SIGHUP wait for the end of a step, so that an update is made whole or not at all.

A process gets SIGHUP when its terminal is closed.
"""

from __future__ import annotations

import signal
import threading
from typing import Any, Dict


class Interrupts:
    """A context manager in which the first signal sets `asked` and a second Ctrl-C interrupts at once.

    Outside the main thread it changes nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # nohup has started this process
                self._before[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
