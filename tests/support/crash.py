"""What a folder holds after a crash: recorded system calls, replayed up to any point.

`record` notes the calls that change files while a function runs. `Disk` replays them, keeping apart
what a program sees and what a power cut leaves: contents last until fsync of the file, names until
fsync of the folder.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import shutil


@contextlib.contextmanager
def record(monkeypatch, root):
    """A list that fills with the calls made below `root` inside the block."""
    calls = []
    real_open, real_fdopen, real_os_open = builtins.open, os.fdopen, os.open

    def note(*call):
        if str(call[1]).startswith(root):
            calls.append(call)

    def of(descriptor):
        return os.readlink(f"/proc/self/fd/{descriptor}")

    class Raw(io.FileIO):
        def write(self, data):
            note("write", of(self.fileno()), bytes(data))
            return super().write(data)

    def stream(target, mode):
        raw = io.BufferedWriter(Raw(target, "w"))
        return raw if "b" in mode else io.TextIOWrapper(raw, encoding="utf-8", newline="\n")

    def recorded_open(path, mode="r", *more, **named):
        if "w" not in mode:
            return real_open(path, mode, *more, **named)
        note("create", str(path))
        return stream(str(path), mode)

    def os_open(path, flags, *more, **named):
        if flags & os.O_CREAT:
            note("create", str(path))
        return real_os_open(path, flags, *more, **named)

    def before(name, kind):
        real = getattr(os, name)

        def call(*arguments, **named):
            first = of(arguments[0]) if kind == "fsync" else str(arguments[0])
            note(kind, first, *map(str, arguments[1:2]) if kind == "rename" else ())
            return real(*arguments, **named)

        monkeypatch.setattr(os, name, call)

    def rmtree(path, **named):
        for folder, _, names in os.walk(path, topdown=False):
            for name in names:
                os.unlink(os.path.join(folder, name))
            os.rmdir(folder)

    with monkeypatch.context() as monkeypatch:
        for name, kind in (
            ("fsync", "fsync"),
            ("rename", "rename"),
            ("replace", "rename"),
            ("mkdir", "mkdir"),
            ("unlink", "remove"),
            ("rmdir", "remove"),
        ):
            before(name, kind)
        monkeypatch.setattr(os, "open", os_open)
        monkeypatch.setattr(
            os,
            "fdopen",
            lambda descriptor, mode, **named: (
                stream(descriptor, mode) if "w" in mode else real_fdopen(descriptor, mode)
            ),
        )
        monkeypatch.setattr(builtins, "open", recorded_open)
        monkeypatch.setattr(shutil, "rmtree", rmtree)
        yield calls


class File:
    def __init__(self):
        self.seen = self.kept = b""


class Folder:
    def __init__(self):
        self.seen, self.kept = {}, {}


class Disk:
    """A file tree of which each thing has a seen and a kept (durable) form."""

    def __init__(self, root):
        self.root, self.top = root, Folder()

    def at(self, path):
        node = self.top
        for part in os.path.relpath(path, self.root).split(os.sep):
            node = node if part == "." else node.seen[part]
        return node

    def parent(self, path):
        return self.at(os.path.dirname(path)).seen, os.path.basename(path)

    def apply(self, kind, path, *rest):
        if kind in ("create", "mkdir"):
            names, name = self.parent(path)
            names[name] = File() if kind == "create" else Folder()
        elif kind == "write":
            self.at(path).seen += rest[0]
        elif kind == "fsync":
            node = self.at(path)
            node.kept = node.seen if isinstance(node, File) else dict(node.seen)
        elif kind == "rename":
            names, name = self.parent(path)
            node = names.pop(name)
            names, name = self.parent(rest[0])
            names[name] = node
        elif kind == "remove":
            names, name = self.parent(path)
            del names[name]
        else:
            raise AssertionError(kind)

    def write_out(self, target, names, contents):
        """Make the tree as it is after a crash; names, contents: "seen" or "kept"."""
        self._write(self.top, target, names, contents)

    def _write(self, folder, target, names, contents):
        os.mkdir(target)
        for name, node in getattr(folder, names).items():
            if isinstance(node, File):
                with open(os.path.join(target, name), "wb") as stream:
                    stream.write(getattr(node, contents))
            else:
                self._write(node, os.path.join(target, name), names, contents)
