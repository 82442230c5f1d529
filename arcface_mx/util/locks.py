"""Locks on files and folders: held by a process until it ends, however it ends, because the kernel releases them."""

from __future__ import annotations

import fcntl
import os
import stat
from typing import Optional


def lock_folder(path: str, certain: bool = False) -> Optional[int]:
    """Lock a folder for this process; returns a descriptor, whose closing unlocks it, or None.

    None means that another process holds the folder, or that it does not exist (any more). On a file
    system without locks every call succeeds, or none if it must be `certain` that nobody holds it.
    """
    return _open_locked(path, os.O_DIRECTORY, certain)


def lock_file(path: str) -> Optional[int]:
    """Lock a regular file of this user; returns a descriptor, or None if it is not certain that nobody holds it."""
    descriptor = _open_locked(path, os.O_NOFOLLOW | os.O_NONBLOCK, certain=True)
    if descriptor is None:
        return None
    state = os.fstat(descriptor)
    if stat.S_ISREG(state.st_mode) and state.st_uid == os.getuid():
        return descriptor
    os.close(descriptor)
    return None


def lock_descriptor(descriptor: int, path: str, certain: bool = False) -> bool:
    """Lock the open file or folder `path`; returns whether this process holds it, and it is still there."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return not certain
    try:  # the holder before may have removed it
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _open_locked(path: str, flags: int, certain: bool) -> Optional[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | flags)
    except OSError:
        return None
    if lock_descriptor(descriptor, path, certain):
        return descriptor
    os.close(descriptor)
    return None
