"""Imports point one way: no files and no folders import each other in a circle."""

from __future__ import annotations

import ast
import os

import arcface_mx

ROOT = os.path.dirname(os.path.abspath(arcface_mx.__file__))


def modules():
    """Path of each module by its dotted name."""
    found = {}
    for folder, _, files in os.walk(ROOT, followlinks=True):
        for name in files:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                parts = os.path.relpath(path, os.path.dirname(ROOT))[:-3].split(os.sep)
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path, known):
    """Names of the project's modules that a file imports when it runs, at its top or in a function."""
    names = set()
    with open(path, encoding="utf-8") as stream:
        tree = ast.parse(stream.read())
    of_types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    skipped = {id(inner) for node in of_types for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.add(full if full in known else node.module)
    return names & set(known)


def circle(arrows):
    """Return what is left when everything that leads to no circle is taken away."""
    left = {name: set(targets) - {name} for name, targets in arrows.items()}
    while True:
        done = {name for name, targets in left.items() if not targets & set(left)}
        if not done:
            return left
        left = {name: targets for name, targets in left.items() if name not in done}


def test_no_files_import_each_other_in_a_circle():
    known = modules()
    assert len(known) > 200 and "arcface_mx.symbols.margin" in known
    assert not circle({name: imports(path, known) for name, path in known.items()})


def test_no_folders_import_each_other_in_a_circle():
    known = modules()
    rooms = {}
    for name, path in known.items():
        if name != "arcface_mx":
            targets = {target.split(".")[1] for target in imports(path, known) if target != "arcface_mx"}
            rooms.setdefault(name.split(".")[1], set()).update(targets)
    assert not circle(rooms)


def test_a_circle_is_found():
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()})) == {"a", "b", "c"}
