"""Cases for the tests of `arcface_mx.bench`; the processes of cases import this module."""

from __future__ import annotations

import os

import numpy as np


def setup_that_writes(path, name, megabytes=0):
    """A case that holds some memory and appends its name to a file."""
    block = np.ones(megabytes << 20, np.uint8)

    def run():
        with open(path, "a") as stream:
            stream.write(name)
        return 1 + 0 * len(block)

    return run


def setup_that_fails():
    """A case that cannot start."""
    raise ValueError("no engine")


def setup_that_dies():
    """A case whose process ends."""
    return lambda: os._exit(3)
