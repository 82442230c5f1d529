"""The file `PREFIX-calibration.json` with the calibration of a model, beside its parameters.

The file holds the SHA-256 of the parameters that were measured. It is refused for other parameters.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, Optional, Tuple

from arcface_mx.metrics.calibration import Calibration, Level
from arcface_mx.model.load import model_file, model_fingerprint
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import read_json, write_json
from arcface_mx.util.json_form import OrNull, check_form

FORMAT = 2


_LEVEL = {"far": float, "threshold": OrNull(float)}
_LEVEL.update(
    {f"{name}?": float for name in ("low", "high", "tar")}, **{f"{name}?": int for name in ("accepted", "different")}
)
_FLIP = {"num_same": int, "num_different": int, "interval": str, "levels": [_LEVEL], "ranks": [int], "scores": [float]}
_FORM = {"model": str, "sets": [str], "flips": {str: _FLIP}}


@dataclasses.dataclass(frozen=True)
class StoredCalibration:
    """Contents of a calibration file."""

    model: str  # SHA-256 of the parameters and the input, see `model_fingerprint`
    sets: Tuple[str, ...]  # names of the sets that were measured
    flips: Dict[str, Calibration]  # by flip test, "none" and "sum"

    def for_flip(self, flip: str) -> Calibration:
        """Return the calibration for one flip test; UserError if it was not measured."""
        if flip not in self.flips:
            raise UserError(f"the calibration lacks flip test {flip}; run arcface-mx calibrate without --no-flip-test")
        return self.flips[flip]


def calibration_path(model: str) -> str:
    """Path of the calibration of a model (run folder, PREFIX,EPOCH or ONNX file)."""
    return model_file(model, "-calibration.json")


def write_calibration(path: str, calibration: StoredCalibration) -> None:
    """Write the file, whole or not at all."""
    flips: Dict[str, Any] = {}
    for flip, value in calibration.flips.items():
        flips[flip] = dataclasses.asdict(value)
        flips[flip]["levels"] = [_plain_level(far, level) for far, level in value.levels.items()]
    write_json(path, {"format": FORMAT, "model": calibration.model, "sets": list(calibration.sets), "flips": flips})


def _plain_level(far: float, level: Optional[Level]) -> Dict[str, Any]:
    return dataclasses.asdict(level) if level else {"far": far, "threshold": None}


def read_calibration(path: str, model: str, convention: Optional[str] = None) -> StoredCalibration:
    """Read the calibration of `model`; `convention` is its input as the user states it.

    Raises UserError if the file is missing or broken, or was made with other parameters.
    """
    if not os.path.exists(path):
        raise UserError(f"{path}: no such file; run: arcface-mx calibrate {model} SET.bin")
    try:
        stored = read_json(path)
        if stored["format"] != FORMAT:
            raise UserError(f"{path}: format {stored['format']!r:.60}; this version reads {FORMAT}; calibrate again")
        check_form(stored, _FORM)
        flips = {flip: _read_calibration(value) for flip, value in stored["flips"].items()}
        calibration = StoredCalibration(str(stored["model"]), tuple(stored["sets"]), flips)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is not a calibration file ({type(error).__name__}: {error})") from error
    if calibration.model != model_fingerprint(model, convention):
        raise UserError(f"{path}: was made with other parameters than those of {model}; run arcface-mx calibrate again")
    return calibration


def _read_calibration(value: Dict[str, Any]) -> Calibration:
    levels = {
        float(level["far"]): Level(**level) if level["threshold"] is not None else None for level in value["levels"]
    }
    ranks, scores = value["ranks"], value["scores"]
    if not ranks or len(ranks) != len(scores) or ranks != sorted(set(ranks)) or scores != sorted(scores, reverse=True):
        raise ValueError("its ranks do not rise, or its scores do not fall")
    if ranks[0] < 1 or value["num_different"] < ranks[-1] or not all(0 < far <= 1 for far in levels):
        raise ValueError("a rank or a false accept rate is out of range")
    return Calibration(
        num_same=int(value["num_same"]),
        num_different=int(value["num_different"]),
        interval=str(value["interval"]),
        levels=levels,
        ranks=tuple(int(rank) for rank in value["ranks"]),
        scores=tuple(float(score) for score in value["scores"]),
    )
