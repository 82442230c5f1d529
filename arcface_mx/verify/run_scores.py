"""The scores of a run's pairs in its folder, from which the table tells a difference from noise."""

from __future__ import annotations

import os
import zipfile
from typing import Dict, Iterable, Mapping, Tuple

import numpy as np

from arcface_mx.data.bins.read import PairSet
from arcface_mx.metrics.identity_bootstrap import PairIdentities
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write
from arcface_mx.util.npz import ERRORS, one_line, read_array, write_archive
from arcface_mx.verify.scores import Key, Scored, pair_identities
from arcface_mx.verify.sets import SetResult

RUN_SCORES = "scores.npz"
PARTS = {"none": "f", "sum": "f", "same": "b", "first": "u", "second": "u"}  # and the kinds of their types


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
    Scores are kept as float16, whose error of at most 0.0005 is far below the noise of a set, so that the
    file has about 60 kB for a set of 6,000 pairs.
    """
    arrays: Dict[str, np.ndarray] = {}
    for result in results:
        pairs = sets[result.set]
        identities = pair_identities(pairs)
        number = np.min_scalar_type(max(identities.first.max(), identities.second.max()))
        parts = {part: values.astype(number) for part, values in identities._asdict().items()}
        parts["same"] = pairs.same
        parts.update({flip: scores.astype(np.float16) for flip, scores in result.scores.items()})
        arrays.update({f"{result.set}/{part}": values for part, values in parts.items()})
    with atomic_write(os.path.join(run, RUN_SCORES)) as stream:
        write_archive(stream, arrays)


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
            arrays = {name: _read(archive, name) for name in _names(archive)}
        names = dict.fromkeys(name.rpartition("/")[0] for name in arrays)
        return {
            (name, flip): _of_set(arrays, name, flip)
            for name in names
            for flip in ("none", "sum")
            if f"{name}/{flip}" in arrays
        }
    except ERRORS as error:
        raise UserError(f"{path}: cannot be read as the scores of a run: {one_line(error)}") from None


def _names(archive: zipfile.ZipFile) -> Iterable[str]:
    return (name[: -len(".npy")] for name in archive.namelist())


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read the array of a part."""
    values = read_array(archive, name, PARTS.get(name.rpartition("/")[2], ""))
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"{name} has the shape {values.shape}, or a value that is not finite")
    return values


def _of_set(arrays: Mapping[str, np.ndarray], name: str, flip: str) -> Tuple[Scored, PairIdentities]:
    scores, same = arrays[f"{name}/{flip}"].astype(np.float64), arrays[f"{name}/same"]
    identities = PairIdentities(*(arrays[f"{name}/{part}"].astype(np.int64) for part in ("first", "second")))
    if not len(scores) == len(same) == len(identities.first) == len(identities.second) > 0:
        raise ValueError(f"the arrays of {name} have different lengths")
    if ((identities.first == identities.second) != same).any():
        raise ValueError(f"the identities of {name} do not fit its pairs")
    return Scored(scores, same), identities
