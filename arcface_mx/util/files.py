"""Write files and folders so that they appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from typing import IO, Any, Iterator, Tuple

from arcface_mx.util.errors import UserError
from arcface_mx.util.locks import lock_folder

MAX_JSON = 1 << 28  # bytes; the largest file lists the records that cleaning has left out
MAX_ATTEMPTS = 100  # to hold the lock of a temporary folder that was just made


def sync_folder(path: str) -> None:
    """Flush the entries of a folder, so that a rename in it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: str) -> None:
    """Make a folder and its missing parents, so that they survive a power cut."""
    path, missing = os.path.abspath(path), []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
        sync_folder(os.path.dirname(path))


@contextlib.contextmanager
def atomic_write(path: str, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`, and rename it to `path` when the block ends.

    If the block raises an exception, the temporary file is removed and `path` stays as it was. What
    exists and is not a regular file, such as /dev/null or a pipe, is written to directly: a renaming
    would replace the device.
    """
    encoding = None if "b" in mode else "utf-8"
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, mode, encoding=encoding) as stream:
            yield stream
        return
    folder = os.path.dirname(os.path.abspath(path))
    make_folder(folder)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
    try:
        with os.fdopen(descriptor, mode, encoding=encoding) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp gives 0600
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        _name_path(error, path)
        raise
    sync_folder(folder)


@contextlib.contextmanager
def atomic_directory(path: str) -> Iterator[str]:
    """Make a temporary folder beside `path` for the block to fill, and rename it to `path` at the end.

    Every file is flushed before the renaming. `path` must not exist yet. If the block raises an
    exception, the temporary folder is removed. What a killed process left of the same `path` is removed
    first; a process that is still filling its temporary folder holds a lock on it.
    """
    parent, name = os.path.split(os.path.abspath(path))
    make_folder(parent)
    prefix = f".{name}.new-"
    _remove_abandoned(parent, prefix)
    temporary, lock = _locked_folder(parent, prefix)
    try:
        yield temporary
        for folder, _, names in os.walk(temporary):
            for name in names:
                with open(os.path.join(folder, name), "rb") as stream:
                    os.fsync(stream.fileno())
            sync_folder(folder)
        os.chmod(temporary, 0o777 & ~_umask())  # mkdtemp gives 0700
        os.rename(temporary, path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        _name_path(error, path)
        raise
    finally:
        os.close(lock)
    sync_folder(parent)


def _name_path(error: BaseException, path: str) -> None:
    """Put the path into an error that names no file, such as a full disk while a stream is written."""
    if isinstance(error, OSError) and error.filename is None:
        error.filename = path


def _locked_folder(parent: str, prefix: str) -> Tuple[str, int]:
    """Make a temporary folder; returns its path and its lock."""
    for _ in range(MAX_ATTEMPTS):
        path = tempfile.mkdtemp(prefix=prefix, dir=parent)
        lock = lock_folder(path)
        if lock is not None:  # else another process has taken it for an abandoned folder, and removed it
            return path, lock
        with contextlib.suppress(OSError):
            os.rmdir(path)
    os.close(os.open(parent, os.O_RDONLY))  # raises the reason, such as too many open files
    raise OSError(errno.EAGAIN, "temporary folders in it are removed by other processes", parent)


def _remove_abandoned(parent: str, prefix: str) -> None:
    """Remove the temporary folders that no process holds."""
    for name in os.listdir(parent):
        if name.startswith(prefix):
            path = os.path.join(parent, name)
            lock = lock_folder(path, certain=True)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def rename_away(path: str, suffix: str) -> str:
    """Give a folder an unused hidden name, with `suffix` at its end, and return the new path."""
    parent, name = os.path.split(os.path.abspath(path))
    new_path, number = os.path.join(parent, f".{name}{suffix}"), 1
    while os.path.lexists(new_path):
        number += 1
        new_path = os.path.join(parent, f".{name}{suffix}{number}")
    os.rename(path, new_path)
    sync_folder(parent)
    return new_path


def refuse_unwritable(path: str, argument: str = "out", kind: str = "file") -> None:
    """Raise UserError if no file can be written at `path`, so that long work is not lost at its end.

    The message names the argument that gives the place, and whether it is a file or a folder.
    """
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    if os.path.isdir(path):
        raise UserError(f"{path}: is a folder; `{argument}` takes the name of a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"{folder}: cannot be written to; give the name of a {kind} in another folder with `{argument}`"
        )


def refuse_existing(folder: str) -> None:
    """Raise UserError if `folder` exists."""
    if os.path.exists(folder):
        raise UserError(f"{folder}: already exists; give another folder or delete it")


def remove_temporary(folder: str, prefix: str) -> None:
    """Remove the temporary files and folders, of names that start with `prefix`, that killed processes left."""
    if not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith("." + prefix) and ".damaged" not in name:
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(path)


def read_json(path: str) -> Any:
    """Read a JSON file. Raises ValueError if it is no JSON, or is too large or too deeply nested."""
    with open(path, "rb") as stream:
        raw = stream.read(MAX_JSON + 1)
    if len(raw) > MAX_JSON:
        raise ValueError(f"more than {MAX_JSON} bytes")
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
        if b"\\ud" in raw.lower():  # half a character cannot be written; escaped bytes of a file's name can
            json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
        return value
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it contains {name}, which is no number of JSON")


def write_json(path: str, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, with `atomic_write`."""
    with atomic_write(path, "w") as stream:
        json.dump(value, stream, indent=2, sort_keys=True, allow_nan=False)
        stream.write("\n")


def fingerprint(*paths: str) -> str:
    """Return the hexadecimal SHA-256 of the contents of the files, in this order."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()


def _umask() -> int:
    # The umask can only be read by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_folder() -> str:
    """Return `$ARCFACE_MX_CACHE`, or `arcface-mx` in the user's cache folder if that is not set."""
    if os.environ.get("ARCFACE_MX_CACHE"):
        return os.environ["ARCFACE_MX_CACHE"]
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "arcface-mx")
