"""The model card: what a network is, what it was made from and what was measured."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from arcface_mx import __version__
from arcface_mx.config import TrainConfig, differences, flag_name
from arcface_mx.model.embedder import Embedder
from arcface_mx.train.folder import command_line, read_config, read_environment
from arcface_mx.util.errors import printable
from arcface_mx.util.files import atomic_write
from arcface_mx.util.tables import markdown_table
from arcface_mx.verify.calibration_file import StoredCalibration
from arcface_mx.verify.tables import calibration_notes, calibration_rows

USE = """```python
from arcface_mx.model import load_model

embeddings = load_model("model,0").embed(images)  # images: uint8 (height, width, 3), RGB, aligned
```"""
MEASURED_NOTE = "Accuracy is the mean over ten folds; ± is the standard deviation over the folds."
THRESHOLDS_NOTE = (
    "Images of another kind (camera, age, alignment) have other scores: calibrate on images like those in use."
)
LIMITS = (
    "Face embeddings are biometric data where they identify people. Error rates differ between groups of people; "
    "only those in the tables were measured."
)


@dataclasses.dataclass(frozen=True)
class Card:
    """What the card states.

    `checks` are pairs (form, largest difference of unit embeddings). `measured` are the results on the
    verification sets of the run, at the step that is exported.
    """

    source: str
    is_run: bool
    network: Embedder
    attributes: Mapping[str, str]
    folded: bool
    checks: Sequence[Tuple[str, float]]
    num_images: int
    calibration: Optional[StoredCalibration]
    measured: Sequence[Mapping[str, Any]]


def write_card(path: str, card: Card) -> None:
    """Write the card as Markdown."""
    parts = [f"# Model card: {printable(card.network.name)}", _properties(card), USE, _origin(card), _measured(card)]
    parts += [_thresholds(card.calibration), _checks(card), _terms(card)]
    with atomic_write(path, "w") as stream:
        stream.write("\n\n".join(filter(None, parts)) + "\n")


def _properties(card: Card) -> str:
    rows = [("property", "value")]
    rows += [(name[len("arcface_") :].replace("_", " "), value) for name, value in card.attributes.items()]
    rows.append(("parameters", f"{sum(value.size for value in card.network.params[0].values()):,}"))
    rows.append(("embedding", "not normalised; compare by cosine"))
    if card.folded:
        rows.append(("BatchNorm", "folded into its neighbours: for inference, not for further training"))
    return markdown_table(rows)


def _origin(card: Card) -> str:
    if not card.is_run:
        name = printable(card.source)
        return f"## Made from\n\nThe published model `{name}`. What it was trained on is not known to this card."
    environment = read_environment(card.source)
    data: Dict[str, Any] = environment.get("data", {})
    rows = [
        ("what", "value"),
        ("data", f"{data.get('images')} images of {data.get('num_classes')} identities"),
        ("data fingerprint", str(data.get("fingerprint"))),
        ("code", f"arcface-mx {environment.get('arcface_mx')}, commit {environment.get('commit')}"),
        ("MXNet, Python", f"{environment.get('mxnet')}, {environment.get('python')}"),
        ("processor", str(environment.get("processor"))),
    ]
    command = command_line(environment) or "arcface-mx"
    return f"## Made from\n\n{markdown_table(rows)}\n\n```sh\n{command}\n```\n\n{_settings(card.source)}"


def _settings(run: str) -> str:
    """Return the settings that differ from their defaults, without folders."""
    rows = [("flag", "value", "default")]
    for name, (default, value) in differences(TrainConfig(), read_config(run), of_result=True).items():
        if name not in ("data", "eval", "run"):
            rows.append((flag_name(name), str(value), str(default)))
    return markdown_table(rows)


def _measured(card: Card) -> str:
    if not card.measured:
        return "## Measured\n\nNothing yet; run `arcface-mx verify`."
    rows = [("set", "pairs", "flip test", "accuracy %", "TAR at FAR")]
    for result in card.measured:
        for flip in ("none", "sum"):
            if result.get(flip):
                tars = result[flip]["tar_at_far"].items()
                accuracy = f"{100 * result[flip]['accuracy']:.2f} ± {100 * result[flip]['std']:.2f}"
                cell = ", ".join(f"{tar:.4f} at {far}" for far, tar in tars if tar is not None)
                rows.append((result["set"], str(result.get("pairs", "-")), flip, accuracy, cell))
    return f"## Measured\n\n{markdown_table(rows)}\n\n{MEASURED_NOTE}"


def _thresholds(calibration: Optional[StoredCalibration]) -> str:
    if calibration is None:
        return "## Thresholds\n\nNot calibrated; run `arcface-mx calibrate`."
    notes = "\n".join("- " + note for note in calibration_notes(calibration))
    return f"## Thresholds\n\n{markdown_table(calibration_rows(calibration))}\n\n{notes}\n\n{THRESHOLDS_NOTE}"


def _checks(card: Card) -> str:
    if not card.checks:
        return ""
    rows = [("form", "largest difference of unit embeddings")]
    rows += [(form, f"{difference:.1e}") for form, difference in card.checks]
    return f"## Checks\n\nAgainst the network as trained, on {card.num_images} images:\n\n{markdown_table(rows)}"


def _terms(card: Card) -> str:
    if card.is_run:
        weights = "The weights are subject to the terms of their training data, which this card does not know."
    else:
        weights = "The weights are subject to their publisher's terms."
    return f"## Licence and limits\n\n{weights} The code (arcface-mx {__version__}) is Apache-2.0. {LIMITS}"
