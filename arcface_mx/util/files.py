"""Files that are written whole or not at all. A leaf: every folder may import it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from typing import IO, Any, Iterator

MAX_JSON = 1 << 28  # bytes; the largest there is lists the records that a cleaned set left out


def sync_folder(path: str) -> None:
    """Flush a folder's entries, so that a rename in it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: str) -> None:
    """`os.makedirs` whose new folders survive a power cut."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
        sync_folder(os.path.dirname(path))


@contextlib.contextmanager
def atomic_write(path: str, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary sibling of `path` for writing; it takes the name when the block ends well.

    On any exception the sibling is removed and `path` is as it was.
    """
    folder = os.path.dirname(os.path.abspath(path))
    make_folder(folder)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
    try:
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(descriptor, mode, encoding=encoding) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp gives 0600
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_folder(folder)


@contextlib.contextmanager
def atomic_directory(path: str) -> Iterator[str]:
    """Yield a temporary sibling folder to fill; it takes the name `path` when the block ends well.

    Every file in it is flushed first. `path` must not exist yet.
    """
    parent = os.path.dirname(os.path.abspath(path))
    make_folder(parent)
    temporary = tempfile.mkdtemp(prefix=f".{os.path.basename(path)}.", dir=parent)
    try:
        yield temporary
        for folder, _, names in os.walk(temporary):
            for name in names:
                with open(os.path.join(folder, name), "rb") as stream:
                    os.fsync(stream.fileno())
            sync_folder(folder)
        os.chmod(temporary, 0o777 & ~_umask())  # mkdtemp gives 0700
        os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(parent)


def rename_away(path: str, suffix: str) -> str:
    """Give a folder a hidden name, free until now, that ends in `suffix`; returns it."""
    parent, name = os.path.split(os.path.abspath(path))
    away, number = os.path.join(parent, f".{name}{suffix}"), 1
    while os.path.lexists(away):
        number += 1
        away = os.path.join(parent, f".{name}{suffix}{number}")
    os.rename(path, away)
    sync_folder(parent)
    return away


def remove_temporary(folder: str, prefix: str) -> None:
    """Remove what killed processes left in `folder`: siblings of names that start with `prefix`."""
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
    """A JSON file's value. Raises OSError, or ValueError where it is no JSON, too large or too deep."""
    with open(path, "rb") as stream:
        raw = stream.read(MAX_JSON + 1)
    if len(raw) > MAX_JSON:
        raise ValueError(f"more than {MAX_JSON} bytes")
    try:
        return json.loads(raw.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def write_json(path: str, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, whole or not at all."""
    with atomic_write(path, "w") as stream:
        json.dump(value, stream, indent=2, sort_keys=True, allow_nan=False)
        stream.write("\n")


def fingerprint(*paths: str) -> str:
    """SHA-256 (hexadecimal) over the contents of the files, in the order given."""
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
    """`$ARCFACE_MX_CACHE`, else `arcface-mx` in the user's cache folder."""
    named = os.environ.get("ARCFACE_MX_CACHE")
    if named:
        return named
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "arcface-mx")
