"""The exceptions that the command line turns into one line. A leaf: every folder may import it."""


class UserError(Exception):
    """Bad input or wrong use.

    The message is one line: what was found, where (file, record, flag), what to do.
    The command line prints it without a traceback and exits with code 2. What a file or a flag brings
    into it cannot break the line or command the terminal: control characters are shown, not sent.
    """

    def __init__(self, message: str) -> None:
        super().__init__(
            "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in message)
        )


class LostWorker(Exception):
    """Another worker of this training has ended, and this one cannot go on. Exit code LOST."""


LOST = 75  # EX_TEMPFAIL: the same command may go on
