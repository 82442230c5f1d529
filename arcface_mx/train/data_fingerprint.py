"""The fingerprint of a training set, kept in the cache folder because reading all records takes time."""

from __future__ import annotations

import hashlib
import os

from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.util.files import cache_folder, read_json, write_json


def cached_fingerprint(index: RecordIndex) -> str:
    """Return `index.fingerprint`, from the cache if path, size and time of the .rec file are unchanged."""
    status = os.stat(index.path)
    path = os.path.realpath(index.path)
    source = {"path": path, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    name = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:16]
    note = os.path.join(cache_folder(), "fingerprints", f"{name}.json")
    try:
        cached = read_json(note)
        if cached["source"] == source and isinstance(cached["fingerprint"], str):
            return cached["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    fingerprint = index.fingerprint
    try:
        write_json(note, {"source": source, "fingerprint": fingerprint})
    except OSError:
        pass  # without a writable cache folder it is computed again at the next start
    return fingerprint
