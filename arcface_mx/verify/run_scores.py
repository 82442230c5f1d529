"""The scores of a run's pairs in its folder, from which the table tells a difference from noise."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from typing import Dict, Iterable, Mapping, Tuple

import numpy as np

from arcface_mx.data.bins.read import PairSet
from arcface_mx.metrics.identity_bootstrap import PairIdentities
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write
from arcface_mx.verify.scores import Key, Scored, pair_identities
from arcface_mx.verify.sets import SetResult

RUN_SCORES = "scores.npz"
LARGEST = 1 << 28  # bytes of an array; 20 million pairs have less
PARTS = {"none": "f", "sum": "f", "same": "b", "first": "i", "second": "i"}  # and the kinds of their types


def write_run_scores(run: str, results: Iterable[SetResult], sets: Mapping[str, PairSet]) -> None:
    """Write the scores of all sets into a run folder.

    Parameters
    ----------
    run : str
    results : iterable of SetResult
    sets : mapping of str to PairSet
        The set of each result, by its name.

    Notes
    -----
    Scores are kept as float16, whose error of at most 0.0005 is far below the noise of a set, so that
    the file of 6,000 pairs has about 40 kB.
    """
    arrays: Dict[str, np.ndarray] = {}
    for result in results:
        pairs = sets[result.set]
        identities = pair_identities(pairs)
        parts = {"same": pairs.same, "first": identities.first, "second": identities.second, **result.scores}
        for part, values in parts.items():
            kind = {"f": np.float16, "b": np.bool_, "i": np.int32}[PARTS[part]]
            arrays[f"{result.set}/{part}"] = np.asarray(values).astype(kind)
    with atomic_write(os.path.join(run, RUN_SCORES)) as stream:
        np.savez_compressed(stream, **arrays)


def read_run_scores(run: str) -> Dict[Key, Tuple[Scored, PairIdentities]]:
    """Read the scores of a run by set and flip test.

    Parameters
    ----------
    run : str

    Returns
    -------
    dict
        Empty if the run has no such file: runs of version 0.1 and baselines have none.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    path = os.path.join(run, RUN_SCORES)
    if not os.path.exists(path):
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {name[: -len(".npy")]: _read(archive, name) for name in archive.namelist()}
        names = dict.fromkeys(name.rpartition("/")[0] for name in arrays)
        return {
            (name, flip): _of_set(arrays, name, flip)
            for name in names
            for flip in ("none", "sum")
            if f"{name}/{flip}" in arrays
        }
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read as the scores of a run: {error}") from None
    except zlib.error as error:
        raise UserError(f"{path}: is damaged: {error}") from None


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read one array; no more than LARGEST bytes are unpacked."""
    with archive.open(name) as stream:
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{name} has more than {LARGEST} bytes")
    values = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    part = name[: -len(".npy")].rpartition("/")[2]
    if PARTS.get(part) != values.dtype.kind or values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"{name} has type {values.dtype} and shape {values.shape}, or a value that is not finite")
    return values


def _of_set(arrays: Mapping[str, np.ndarray], name: str, flip: str) -> Tuple[Scored, PairIdentities]:
    scores, same = arrays[f"{name}/{flip}"].astype(np.float64), arrays[f"{name}/same"]
    identities = PairIdentities(arrays[f"{name}/first"], arrays[f"{name}/second"])
    if not len(scores) == len(same) == len(identities.first) == len(identities.second) > 0:
        raise ValueError(f"the arrays of {name} have different lengths")
    if min(identities.first.min(), identities.second.min()) < 0 or ((identities[0] == identities[1]) != same).any():
        raise ValueError(f"the identities of {name} do not fit its pairs")
    return Scored(scores, same), identities
