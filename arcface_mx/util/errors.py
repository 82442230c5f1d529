"""Exceptions that the command line prints as one line."""

from __future__ import annotations

LOST_WORKER_CODE = 75  # EX_TEMPFAIL: the same command can continue the run


def printable(text: str) -> str:
    """Return a text with control characters escaped, so that a file's name cannot command the terminal.

    Bytes of a file name that are no valid text are escaped too.
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class UserError(Exception):
    """Bad input or wrong use, reported as one line.

    Parameters
    ----------
    message : str
        What was found, where (file, record or argument), and what to do. Names of arguments
        stand in backticks, as in ``"`scale` must be positive, got -1"``; the command line prints
        them as flags. Control characters are escaped, so that text from a file cannot break the
        line or command the terminal.

    Notes
    -----
    The command line prints the message without a traceback and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class LostWorker(Exception):
    """Another worker of this run has ended, so this worker cannot continue.

    The command line exits with ``LOST_WORKER_CODE``.
    """
