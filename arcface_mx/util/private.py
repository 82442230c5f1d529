"""Code that is kept in the cache folder: only the user may be able to change it, and old entries are removed."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import stat
import time
from typing import Iterable, Iterator, Tuple

from arcface_mx.util.errors import UserError

UNUSED_DAYS = 30


def refuse_foreign(path: str) -> None:
    """Raise UserError if others could have written the file or folder `path`, or anything in it.

    Each part must belong to this user or to root, and nobody else may write to it. The same holds
    for the folders above. Folders in which everybody may write are accepted above `path` if only the
    owner of a file may remove it there, such as /tmp.
    """
    path = os.path.realpath(path)
    _refuse(path, [(part, _problem(part)) for part in _below(path)])
    _refuse(path, [(part, _problem(part, is_above=True)) for part in _above(path)])


def make_private(folder: str, mode: int = 0o755) -> None:
    """Make a folder with these rights, unless it exists; then check it, but not its content."""
    mask = os.umask(0o022)
    try:
        os.makedirs(folder, mode, exist_ok=True)
    finally:
        os.umask(mask)
    path = os.path.realpath(folder)
    _refuse(path, [(path, _problem(path)), *((part, _problem(part, is_above=True)) for part in _above(path))])


def is_private(path: str) -> bool:
    """Return whether only this user and root could have written `path`."""
    try:
        refuse_foreign(path)
    except (UserError, OSError):
        return False
    return True


def _refuse(path: str, problems: Iterable[Tuple[str, str]]) -> None:
    for part, problem in problems:
        if problem:
            raise UserError(
                f"{part}: {problem}, so code from {path} is not run; take these rights away (chmod go-w), or set "
                "ARCFACE_MX_CACHE to a folder of your own"
            )


def _below(path: str) -> Iterator[str]:
    """Yield `path` and what it contains. Nobody else reaches the content of a folder that only its owner may open."""
    yield path
    for folder, folders, names in os.walk(path) if os.stat(path).st_mode & 0o077 else ():
        for name in folders + names:
            yield os.path.join(folder, name)


def _above(path: str) -> Iterator[str]:
    while os.path.dirname(path) != path:
        path = os.path.dirname(path)
        yield path


def _problem(path: str, is_above: bool = False) -> str:
    """Return what others can do to `path`, in words; empty if they can do nothing."""
    state = os.lstat(path)
    if state.st_uid not in (0, os.getuid()):
        return f"belongs to user {state.st_uid}"
    if stat.S_ISLNK(state.st_mode):
        return "is a link"
    if is_above and state.st_mode & stat.S_ISVTX:
        return ""
    if state.st_mode & stat.S_IWOTH:
        return "everybody may write to it"
    if state.st_mode & stat.S_IWGRP and not _is_own_group(state.st_gid):
        return f"the group {state.st_gid} may write to it"
    return ""


def _is_own_group(group: int) -> bool:
    """Return whether a group is root's, or has this user alone, as on systems that give each user a group."""
    if group == 0:
        return True
    try:
        entry, user = grp.getgrgid(group), pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return group == user.pw_gid and entry.gr_name == user.pw_name and not set(entry.gr_mem) - {user.pw_name}


def touch(path: str) -> None:
    """Note that a file or folder of the cache is in use, for `remove_unused`."""
    with contextlib.suppress(OSError):
        os.utime(path)


def remove_unused(folder: str, prefix: str) -> None:
    """Remove the entries of the cache folder whose names begin with `prefix` and that 30 days saw no use of."""
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.name.startswith(prefix) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)
