"""Find image files with the same bytes: copies under several identities, or within one."""

from __future__ import annotations

import collections
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, Iterable, List, Sequence, Set

from arcface_mx.data.check.images import digest
from arcface_mx.data.images import read_image_file


class Copies:
    """Which image files of some identities have the same bytes.

    Parameters
    ----------
    paths : sequence of sequences of str
        The image files of each identity.
    workers : int
        Number of threads that read.
    """

    def __init__(self, paths: Sequence[Sequence[str]], workers: int = 1) -> None:
        self._paths = paths
        self._digests = _digests_of_equal_sizes((path for images in paths for path in images), workers)

    def across(self) -> List[List[str]]:
        """Return the files of each image that occurs under several identities, in the order of the identities."""
        files: Dict[bytes, List[str]] = collections.defaultdict(list)
        identities: Dict[bytes, Set[int]] = collections.defaultdict(set)
        for k, images in enumerate(self._paths):
            for path in images:
                key = self._digests.get(path)
                if key:
                    files[key].append(path)
                    identities[key].add(k)
        return [files[key] for key in files if len(identities[key]) > 1]

    def distinct(self, identity: int) -> int:
        """Return the number of different images of an identity."""
        return len({self._digests.get(path) or path for path in self._paths[identity]})


def _digests_of_equal_sizes(paths: Iterable[str], workers: int) -> Dict[str, bytes]:
    """Return the hashes of the files whose size is that of another one; files that cannot be read are left out."""
    by_size: Dict[int, List[str]] = collections.defaultdict(list)
    for path in paths:
        try:
            by_size[os.path.getsize(path)].append(path)
        except OSError:
            continue
    candidates = [path for size, group in by_size.items() if size and len(group) > 1 for path in group]
    with ThreadPoolExecutor(workers) as pool:
        return dict(zip(candidates, pool.map(_digest, candidates)))


def _digest(path: str) -> bytes:
    try:
        return digest(read_image_file(path))
    except ValueError:
        return b""
