"""Make a verification set from a published protocol and a folder of aligned images."""

from __future__ import annotations

import os
from typing import Dict, Iterator, List, Optional, Sequence

from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.image_files import SUFFIXES, is_image_name
from arcface_mx.data.images import decode_bgr, read_image_file
from arcface_mx.data.pack.encode import PackOptions, encode_image
from arcface_mx.data.protocols.formats import ImagePair, read_protocol
from arcface_mx.data.recordio.manifest import add_to_manifest
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write
from arcface_mx.util.progress import progress

MAX_SHOWN = 5  # missing images that a message names


def make_verification_set(
    kind: str, protocol: str, folder: str, out: str, missing: Optional[str] = None
) -> Dict[str, object]:
    """Write a published protocol as a ``.bin`` file or, for YTF, as a list of template pairs.

    Parameters
    ----------
    kind, protocol : str
        The protocol, see `read_protocol`.
    folder : str
        Folder of the aligned images. They have the names of the protocol, with any image suffix.
    out : str
        The file to write. The list of template pairs is for ``arcface-mx templates``.
    missing : str, optional
        If images are missing, write their names to this file.

    Returns
    -------
    dict
        Number of pairs, of same and of different pairs, and of distinct images.

    Raises
    ------
    UserError
        If an image is missing, cannot be decoded, or has another size than the first image.
    """
    pairs = read_protocol(kind, protocol)
    names = distinct_images(pairs)
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: no such folder; give the folder of the aligned images")
    if kind == "ytf":
        absent = [name for name in names if not os.path.isdir(os.path.join(folder, name))]
    else:
        paths = {name: find_image(folder, name) for name in names}
        absent = [name for name, path in paths.items() if not path]
    refuse_missing(absent, protocol, f"are not below {folder}", missing)
    if kind == "ytf":
        with atomic_write(out, "w") as stream:
            stream.write("".join(f"{first} {second} {same:d}\n" for first, second, same in pairs))
    else:
        write_pairs(out, _encode([paths[name] for pair in pairs for name in pair[:2]]), [pair.same for pair in pairs])
    add_to_manifest(out)
    same = sum(pair.same for pair in pairs)
    return {"pairs": len(pairs), "same": same, "different": len(pairs) - same, "images": len(names)}


def distinct_images(pairs: Sequence[ImagePair]) -> List[str]:
    """Return the sorted names of the images of a protocol."""
    return sorted({pair.first for pair in pairs} | {pair.second for pair in pairs})


def find_image(folder: str, name: str) -> str:
    """Return the path of an image below `folder`, with any suffix; empty if there is none."""
    path = os.path.normpath(os.path.join(folder, name))
    if os.path.relpath(path, folder).startswith(os.pardir):  # a protocol may come from an untrusted source
        return ""
    stem = os.path.splitext(path)[0] if is_image_name(path) else path
    return next((file for file in [path] + [stem + suffix for suffix in SUFFIXES] if os.path.isfile(file)), "")


def refuse_missing(names: Sequence[str], protocol: str, problem: str, missing: Optional[str]) -> None:
    """Raise UserError if there are images with a problem, after writing their names to `missing`."""
    if not names:
        return
    if missing:
        with atomic_write(missing, "w") as stream:
            stream.write("".join(f"{name}\n" for name in names))
    shown = ", ".join(names[:MAX_SHOWN]) + (" …" if len(names) > MAX_SHOWN else "")
    raise UserError(
        f"{protocol}: {len(names)} of its images {problem}: {shown}; a set without them would be another protocol"
    )


def _encode(paths: Sequence[str]) -> Iterator[bytes]:
    try:
        pixels = decode_bgr(read_image_file(paths[0]))
    except ValueError:
        raise UserError(f"{paths[0]}: cannot be decoded as an image") from None
    options = PackOptions(height=pixels.shape[0], width=pixels.shape[1])
    for path in progress(paths, "pairs", "images"):
        yield encode_image(path, options)
