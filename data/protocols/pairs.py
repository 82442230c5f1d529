"""A protocol and a folder of aligned photos → a verification set."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Optional, Sequence

from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.images import decode_or_none
from arcface_mx.data.pack.image_list import SUFFIXES
from arcface_mx.data.pack.pack import PackOptions, read_photo
from arcface_mx.data.protocols.published import PhotoPair, read_protocol
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write
from arcface_mx.util.progress import progress

SHOWN = 5


def make_pairs(kind: str, protocol: str, photos: str, out: str, missing: Optional[str] = None) -> Dict[str, Any]:
    """Write the pairs of a protocol as `out`; ytf: as a list for `arcface-mx templates`, else as .bin.

    photos: the folder of aligned crops, with the protocol's names (of any photo suffix). missing: a
    file that gets the names of photos that are not there. Returns the counts.

    Raises UserError where a photo is missing, cannot be decoded or has another size than the first.
    """
    pairs = read_protocol(kind, protocol)
    if not os.path.isdir(photos):
        raise UserError(f"{photos}: no such folder; give the folder of aligned photos")
    if kind == "ytf":
        _refuse_missing(_missing_folders(pairs, photos), protocol, photos, missing)
        with atomic_write(out, "w") as stream:
            stream.write("".join("%s %s %d\n" % pair for pair in pairs))
    else:
        paths = {name: find_photo(photos, name) for name in distinct_photos(pairs)}
        _refuse_missing([name for name, path in paths.items() if path is None], protocol, photos, missing)
        write_pairs(
            out, _images(pairs, {name: str(path) for name, path in paths.items()}), [pair.same for pair in pairs]
        )
    same = sum(pair.same for pair in pairs)
    return {"pairs": len(pairs), "same": same, "different": len(pairs) - same, "photos": len(distinct_photos(pairs))}


def find_photo(folder: str, name: str) -> Optional[str]:
    """Path of a protocol's photo below `folder`, whatever its suffix; None where there is none."""
    path = os.path.normpath(os.path.join(folder, name))
    if os.path.relpath(path, folder).startswith(os.pardir):  # a protocol may come from a stranger
        return None
    if os.path.isfile(path):
        return path
    stem = os.path.splitext(path)[0] if path.lower().endswith(SUFFIXES) else path
    return next((stem + suffix for suffix in SUFFIXES if os.path.isfile(stem + suffix)), None)


def _missing_folders(pairs: Sequence[PhotoPair], folder: str) -> List[str]:
    return [name for name in distinct_photos(pairs) if not os.path.isdir(os.path.join(folder, name))]


def _refuse_missing(names: Sequence[str], protocol: str, photos: str, missing: Optional[str]) -> None:
    if not names:
        return
    if missing:
        with atomic_write(missing, "w") as stream:
            stream.write("".join(f"{name}\n" for name in names))
    more = " …" if len(names) > SHOWN else ""
    raise UserError(
        f"{protocol}: {len(names)} of its photos are not below {photos}: {', '.join(names[:SHOWN])}{more}; a set without them would be another protocol"
    )


def _images(pairs: Sequence[PhotoPair], paths: Dict[str, str]) -> Iterator[bytes]:
    first = paths[pairs[0].first]
    with open(first, "rb") as stream:
        pixels = decode_or_none(stream.read())
    if pixels is None:
        raise UserError(f"{first}: cannot be decoded as an image")
    options = PackOptions(height=pixels.shape[0], width=pixels.shape[1])
    for pair in progress(pairs, "pairs", "pairs"):
        for name in (pair.first, pair.second):
            image = read_photo(paths[name], options)
            if isinstance(image, str):
                raise UserError(image)
            yield image


def distinct_photos(pairs: Sequence[PhotoPair]) -> List[str]:
    """The photos that a protocol needs, sorted."""
    return sorted({pair.first for pair in pairs} | {pair.second for pair in pairs})
