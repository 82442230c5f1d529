"""`PREFIX-calibration.json`: a model's calibration beside its symbol and parameters.

It names the parameters it was made with by their SHA-256, and is refused for others.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

from arcface_mx.metrics.calibration import RESAMPLES, Calibration, Level, not_measurable
from arcface_mx.model.load import beside, locate
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import fingerprint, write_json

FORMAT = 2


@dataclasses.dataclass(frozen=True)
class StoredCalibration:
    """What the file holds. sets: the names of the verification sets. flips: by flip test, "none" and "sum"."""

    model: str  # SHA-256 of the parameter file
    sets: Tuple[str, ...]
    flips: Dict[str, Calibration]

    def for_flip(self, flip: str) -> Calibration:
        """The calibration for one flip test, "none" or "sum". Raises UserError where it was not measured."""
        if flip not in self.flips:
            raise UserError(
                f"the calibration was not measured for flip test {flip}; run: arcface-mx calibrate without --no-flip-test"
            )
        return self.flips[flip]


def calibration_path(model: str) -> str:
    """Where a model's calibration is kept; `model`: run folder or PREFIX,EPOCH."""
    return beside(model, "-calibration.json")


def model_fingerprint(model: str) -> str:
    """SHA-256 of a model's parameter file."""
    return fingerprint(locate(model)[1])


def write_calibration(path: str, calibration: StoredCalibration) -> None:
    """Write the file, whole or not at all."""
    flips: Dict[str, Any] = {}
    for name, value in calibration.flips.items():
        flips[name] = dataclasses.asdict(value)
        flips[name]["levels"] = [_plain_level(far, level) for far, level in value.levels.items()]
    write_json(path, {"format": FORMAT, "model": calibration.model, "sets": list(calibration.sets), "flips": flips})


def _plain_level(far: float, level: Optional[Level]) -> Dict[str, Any]:
    return dataclasses.asdict(level) if level else {"far": far, "threshold": None}


def read_calibration(path: str, model: str) -> StoredCalibration:
    """The calibration of `model` (run folder or PREFIX,EPOCH) in the file `path`.

    Raises UserError where there is none, it cannot be read, or it was made with other parameters.
    """
    if not os.path.exists(path):
        raise UserError(f"{path}: no such file; run: arcface-mx calibrate {model} SET.bin")
    try:
        with open(path, encoding="utf-8") as stream:
            stored = json.load(stream)
        if stored["format"] != FORMAT:
            raise UserError(f"{path}: format {stored['format']!r}; this version reads {FORMAT}")
        flips = {name: _read_calibration(value) for name, value in stored["flips"].items()}
        result = StoredCalibration(str(stored["model"]), tuple(stored["sets"]), flips)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is no calibration ({type(error).__name__}: {error})") from error
    if result.model != model_fingerprint(model):
        raise UserError(f"{path}: was made with other parameters than {model} has; run arcface-mx calibrate again")
    return result


def _read_calibration(value: Dict[str, Any]) -> Calibration:
    levels = {
        float(level["far"]): Level(**level) if level["threshold"] is not None else None for level in value["levels"]
    }
    return Calibration(
        int(value["num_same"]),
        int(value["num_different"]),
        str(value["interval"]),
        levels,
        tuple(int(rank) for rank in value["ranks"]),
        tuple(float(score) for score in value["scores"]),
    )


HEADER = ("flip", "FAR asked", "threshold", "accepted / different pairs", "95 % interval of FAR", "TAR")


def calibration_rows(stored: StoredCalibration) -> List[Sequence[str]]:
    """HEADER and a row of cells for each level that was measured."""
    rows: List[Sequence[str]] = [HEADER]
    for flip, value in stored.flips.items():
        for level in filter(None, value.levels.values()):
            rows.append(
                (
                    flip,
                    f"{level.far:g}",
                    f"{level.threshold:.4f}",
                    f"{level.accepted} / {level.different}",
                    f"{level.low:.1e} to {level.high:.1e}",
                    f"{level.tar:.4f}",
                )
            )
    return rows


def calibration_notes(stored: StoredCalibration) -> List[str]:
    """What the table cannot say: where the figures come from, and which rates no pairs could tell."""
    value = next(iter(stored.flips.values()))
    notes = [f"{', '.join(stored.sets)}: {value.num_same} same, {value.num_different} different pairs"]
    kind = {"pairs": "pairs taken as independent", "people": f"people drawn with their photos, {RESAMPLES} times"}
    notes.append(f"interval of FAR: 95 %, {kind.get(value.interval, value.interval)}")
    hidden = [f"{far:g}" for far, level in value.levels.items() if level is None]
    if hidden:
        notes.append(f"FAR {', '.join(hidden)}: {not_measurable(value.num_different)}")
    return notes
