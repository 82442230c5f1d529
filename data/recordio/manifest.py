"""`SHA256SUMS` in a data folder: the checksum and the size of each file, so that changes do not stay unnoticed.

The file has the format of `sha256sum`, which can compare it too (`sha256sum -c SHA256SUMS`). Sizes are
in comments. `arcface-mx data check --verify` compares the contents. The start of a training compares
sizes and times, which takes no time.
"""

from __future__ import annotations

import os
import re
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, fingerprint

NAME = "SHA256SUMS"
MAX_BYTES = 1 << 24
TOLERANCE = 2.0  # seconds; some file systems store times in steps of two seconds
VERIFY = "arcface-mx data check --verify"
_SUM, _SIZE = re.compile(r"([0-9a-f]{64}) [ *](.+)"), re.compile(r"# (\d{1,18}) bytes: (.+)")


class Manifest(NamedTuple):
    """Checksums and sizes of the files of a folder, by name. Files from `sha256sum` state no sizes."""

    path: str
    sums: Dict[str, str]
    sizes: Dict[str, int]


def write_manifest(folder: str, sums: Optional[Mapping[str, str]] = None) -> None:
    """Write `SHA256SUMS` of all files in a folder, without its sub-folders; `sums` are those already known."""
    names = [name for name in sorted(os.listdir(folder)) if os.path.isfile(os.path.join(folder, name))]
    known = {name: (sums or {}).get(name) or fingerprint(os.path.join(folder, name)) for name in names if name != NAME}
    sizes = {name: os.path.getsize(os.path.join(folder, name)) for name in known}
    _write(Manifest(os.path.join(folder, NAME), known, sizes))


def add_to_manifest(path: str) -> None:
    """Add one file to the `SHA256SUMS` of its folder, or replace its entry."""
    folder, name = os.path.split(os.path.abspath(path))
    if not os.path.isfile(path):
        return  # a pipe or a device
    manifest = read_manifest(folder) or Manifest(os.path.join(folder, NAME), {}, {})
    manifest.sums[name], manifest.sizes[name] = fingerprint(path), os.path.getsize(path)
    _write(manifest)


def _write(manifest: Manifest) -> None:
    names = [name for name in sorted(manifest.sums) if name.isprintable() and "\\" not in name]
    with atomic_write(manifest.path, "w") as stream:
        stream.writelines(f"# {manifest.sizes[name]} bytes: {name}\n" for name in names if name in manifest.sizes)
        stream.writelines(f"{manifest.sums[name]}  {name}\n" for name in names)


def read_manifest(folder: str) -> Optional[Manifest]:
    """Read the `SHA256SUMS` of a folder; None if there is none. Raises UserError if it is something else."""
    path = os.path.join(folder, NAME)
    if not os.path.lexists(path):
        return None
    try:
        with open(path, "rb") as stream:
            text = stream.read(MAX_BYTES + 1).decode("utf-8")
        if len(text) > MAX_BYTES:
            raise UserError(f"{path}: is larger than {MAX_BYTES} bytes, too large for a list of checksums")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    manifest = Manifest(path, {}, {})
    for number, line in enumerate(text.split("\n"), 1):
        size, entry = _SIZE.fullmatch(line), _SUM.fullmatch(line)
        if size:
            manifest.sizes[size.group(2)] = int(size.group(1))
        elif entry and os.path.basename(entry.group(2)) == entry.group(2):
            manifest.sums[entry.group(2)] = entry.group(1)
        elif line and not line.startswith("#"):
            raise UserError(f"{path}: line {number} is not a checksum and the name of a file in this folder")
    return manifest


def compare_sizes(paths: Iterable[str]) -> List[str]:
    """Compare files with the manifests of their folders by size and time, which takes no time.

    Returns a warning for each folder that has files newer than its manifest: they were edited or
    copied. Raises UserError if a file has another size, because then it is certainly another file. Folders
    without manifest, and files that are not listed, are accepted.
    """
    newer: Dict[str, List[str]] = {}
    for path in paths:
        folder, name = os.path.split(os.path.abspath(path))
        manifest = read_manifest(folder)
        if manifest is None or name not in manifest.sums:
            continue
        if not os.path.exists(path):
            raise UserError(f"{path}: is listed in {NAME}, but does not exist; copy the folder again")
        state, size = os.stat(path), manifest.sizes.get(name)
        if size is not None and state.st_size != size:
            raise UserError(
                f"{path}: has {state.st_size} bytes, but {NAME} beside it says {size}; copy it again, or delete {NAME} "
                "if you changed the file on purpose"
            )
        if state.st_mtime > os.stat(manifest.path).st_mtime + TOLERANCE:
            newer.setdefault(folder, []).append(name)
    return [
        f"{folder}: {', '.join(names)} is newer than {NAME}, so it was edited or copied; {VERIFY} {folder} compares "
        f"the contents (and touch {NAME} ends this warning)"
        for folder, names in newer.items()
    ]


def compare_contents(folder: str, names: Optional[Iterable[str]] = None) -> Dict[str, str]:
    """Compare the contents of files with the manifest; returns what is wrong, by name, and "" for good files.

    `names` are the files to compare; the default is all that are listed. Raises UserError if there is no
    manifest.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(
            f"{folder}: has no {NAME}; data pack, rendered, orl, pairs and check --fix write one, and so does sha256sum"
        )
    outcome = {}
    for name in sorted(manifest.sums) if names is None else names:
        path = os.path.join(folder, name)
        if name not in manifest.sums:
            outcome[name] = f"is not listed in {NAME}"
        elif not os.path.isfile(path):
            outcome[name] = f"is listed in {NAME}, but does not exist"
        elif fingerprint(path) != manifest.sums[name]:
            outcome[name] = f"differs from its checksum in {NAME}: it is damaged, or was changed since"
        else:
            outcome[name] = ""
    return outcome
