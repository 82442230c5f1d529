"""Locks on folders: held by a process until it ends, however it ends, because the kernel releases them."""

from __future__ import annotations

import fcntl
import os
from typing import Optional


def lock_folder(path: str, certain: bool = False) -> Optional[int]:
    """Lock a folder for this process; returns a descriptor, whose closing unlocks it, or None.

    None means that another process holds the folder, or that it does not exist (any more). On a file
    system without locks every call succeeds, or none if it must be `certain` that nobody holds it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        if certain:
            os.close(descriptor)
        return None if certain else descriptor
    try:  # the holder before may have removed it
        is_same = os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        is_same = False
    if is_same:
        return descriptor
    os.close(descriptor)
    return None
