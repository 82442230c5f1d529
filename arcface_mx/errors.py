"""The one exception for a user's mistake. A leaf: every folder may import it."""


class UserError(Exception):
    """Bad input or wrong use.

    The message is one line: what was found, where (file, record, flag), what to do.
    The command line prints it without a traceback and exits with code 2.
    """
