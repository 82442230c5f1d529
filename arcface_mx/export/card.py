"""The model card: what the network is, was made from and was measured to do. Written by export, never by hand."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from arcface_mx import __version__
from arcface_mx.config import TrainConfig, differences, flag_name
from arcface_mx.model import Embedder
from arcface_mx.train.folder import command_line, read_config, read_environment, read_metrics
from arcface_mx.util.files import atomic_write
from arcface_mx.util.tables import markdown_table
from arcface_mx.verify.calibration_file import StoredCalibration
from arcface_mx.verify.tables import calibration_notes, calibration_rows

USE = """```python
from arcface_mx.model import load_model

embeddings = load_model("model,0").embed(photos)  # photos: uint8 (height, width, 3), RGB, aligned
```"""


@dataclasses.dataclass(frozen=True)
class Card:
    """What the card tells. checks: (form, largest difference of unit embeddings) on `photos` photos."""

    source: str
    is_run: bool
    network: Embedder
    attributes: Mapping[str, str]
    folded: bool
    checks: Sequence[Tuple[str, float]]
    photos: int
    calibration: Optional[StoredCalibration]


def write_card(path: str, card: Card) -> None:
    """Write the card, whole or not at all."""
    parts = [f"# Model card: {card.network.name}", _properties(card), USE, _origin(card), _measured(card)]
    parts += [_thresholds(card.calibration), _checks(card), _terms(card)]
    with atomic_write(path, "w") as stream:
        stream.write("\n\n".join(filter(None, parts)) + "\n")


def _properties(card: Card) -> str:
    rows = [("property", "value")] + [
        (name[len("arcface_") :].replace("_", " "), text) for name, text in card.attributes.items()
    ]
    rows.append(("parameters", f"{sum(value.size for value in card.network.params[0].values()):,}"))
    rows.append(("embedding", "not normalised; compare by cosine"))
    if card.folded:
        rows.append(("BatchNorm", "folded into its neighbours: for inference, not for training on"))
    return markdown_table(rows)


def _origin(card: Card) -> str:
    if not card.is_run:
        return f"## Made from\n\nThe published model `{card.source}`. What it was trained on is not known to this card."
    environment = read_environment(card.source)
    data: Dict[str, Any] = environment.get("data", {})
    rows = [
        ("what", "value"),
        ("data", f"{data.get('images')} images of {data.get('num_classes')} people"),
        ("data fingerprint", str(data.get("fingerprint"))),
        ("code", f"arcface-mx {environment.get('arcface_mx')}, commit {environment.get('commit')}"),
        ("MXNet, Python", f"{environment.get('mxnet')}, {environment.get('python')}"),
        ("processor", str(environment.get("processor"))),
    ]
    shown = command_line(environment) or "arcface-mx"
    return f"## Made from\n\n{markdown_table(rows)}\n\n```sh\n{shown}\n```\n\n{_settings(card.source)}"


def _settings(run: str) -> str:
    """What differs from the defaults, folders left out."""
    rows = [("flag", "value", "default")]
    for name, (default, value) in differences(TrainConfig(), read_config(run), of_result=True).items():
        if name not in ("data", "eval", "run"):
            rows.append((flag_name(name), str(value), str(default)))
    return markdown_table(rows)


def _measured(card: Card) -> str:
    metrics = read_metrics(card.source) if card.is_run else None
    if not metrics or not metrics.get("sets"):
        return "## Measured\n\nNothing yet; run `arcface-mx verify`."
    rows = [("set", "pairs", "flip test", "accuracy %", "TAR at FAR")]
    for result in metrics["sets"].values():
        for flip in ("none", "sum"):
            if result.get(flip):
                tars = [
                    f"{value:.4f} at {far}" for far, value in result[flip]["tar_at_far"].items() if value is not None
                ]
                accuracy = f"{100 * result[flip]['accuracy']:.2f} ± {100 * result[flip]['std']:.2f}"
                rows.append((result["set"], str(result["pairs"]), flip, accuracy, ", ".join(tars)))
    return f"## Measured\n\n{markdown_table(rows)}\n\nAccuracy over ten folds; ± is over the folds."


def _thresholds(calibration: Optional[StoredCalibration]) -> str:
    if calibration is None:
        return "## Thresholds\n\nNot calibrated; run `arcface-mx calibrate`."
    notes: List[str] = ["- " + note for note in calibration_notes(calibration)]
    text = "Photos of another kind (camera, age, alignment) have other scores: calibrate on photos like those in use."
    return "## Thresholds\n\n{}\n\n{}\n\n{}".format(
        markdown_table(calibration_rows(calibration)), "\n".join(notes), text
    )


def _checks(card: Card) -> str:
    if not card.checks:
        return ""
    rows = [("form", "largest difference of unit embeddings")] + [(name, f"{worst:.1e}") for name, worst in card.checks]
    return f"## Checks\n\nAgainst the network as trained, on {card.photos} photos:\n\n{markdown_table(rows)}"


def _terms(card: Card) -> str:
    weights = (
        "The weights carry the terms of the data they were trained on; those of the data are yours to know."
        if card.is_run
        else "The weights carry their publisher's terms."
    )
    return f"## Licence and limits\n\n{weights} The code (arcface-mx {__version__}) is Apache-2.0. Face embeddings are biometric data where they identify people. Error rates differ between groups of people; only those in the tables were measured."
