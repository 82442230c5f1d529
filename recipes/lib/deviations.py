"""Print recipes/deviations.md: each setting in the paper, in the released code, and here, with the reason.

    python recipes/lib/deviations.py >recipes/deviations.md

What this project does is read from its configuration, so that the page follows the code.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, NamedTuple

from arcface_mx.config import from_flat, to_flat
from arcface_mx.losses import ArcFace, ASoftmax
from arcface_mx.presets import PRESETS
from arcface_mx.report.paper import default_path, read_rows, row_values

PAGE = os.path.join(os.path.dirname(default_path()), "deviations.md")
HEAD = """# Paper, released code, here

Each line is a setting in which the paper, the authors' released code and this project are not alike, or about
which the paper is silent. "Released" is InsightFace's `recognition/arcface_mxnet`. "Here" is `BUDGET=paper`, and
after a semicolon the other budgets of the recipes. `recipes/lib/deviations.py` makes this page from the
configuration; do not edit it by hand.
"""
TAIL = """
What has no line here is as in the paper: batch 512, learning rate 0.1 divided by 10 after 20,000 and 28,000 of 32,000
steps, momentum 0.9, weight decay 5e-4, 512 dimensions, 112×112 pixels, mirrored images.
"""


class Line(NamedTuple):
    """A line of the page."""

    setting: str
    paper: str
    released: str
    here: str
    reason: str


def flag(name: str, value: Any) -> str:
    """Return a setting as it is written on the command line."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"`--{name.replace('_', '-')} {text}`"


def lines() -> List[Line]:
    """Return the lines of the page."""
    return [*optimisation_lines(), *loss_lines(), *network_lines(), *data_lines(), *evaluation_lines()]


def optimisation_lines() -> List[Line]:
    paper: Dict[str, Any] = to_flat(from_flat(PRESETS["paper"]))
    small = PRESETS["laptop"]
    return [
        Line(
            "weight decay on biases and betas",
            "silent",
            "yes: the optimizer is made without the names of the parameters, and MXNet then decays all",
            "yes" if paper["decay_all"] else "no, as MXNet does by default; `--decay-all` gives the released behaviour",
            "MXNet's default for an optimizer that knows the names",
        ),
        Line(
            "warm-up of the learning rate",
            "none",
            "none",
            f"{flag('warmup_steps', paper['warmup_steps'])}; {small['warmup_steps']} steps",
            "short runs from scratch did not start to learn without it (results/trials.md)",
        ),
        Line(
            "scale s",
            "64",
            "64",
            f"{flag('scale', paper['scale'])}; {small['scale']:g}",
            "few classes and few steps: the smallest sensible scale for 1,000 classes is 9.8",
        ),
        Line(
            "ramp of the margin",
            "none",
            "none",
            f"{flag('margin_ramp', paper['margin_ramp'])}; over {small['margin_ramp']:.0%} of the run",
            "short runs from scratch do not start to learn with the full margin",
        ),
        Line(
            "which checkpoint counts",
            "silent",
            "saved when the verification is good (`ckpt`)",
            "the last step",
            "a choice on the test sets would be a choice on the answer",
        ),
    ]


def loss_lines() -> List[Line]:
    arcface, a_softmax = ArcFace(), ASoftmax()
    triplet = next(row for row in read_rows(default_path()) if row.recipe == "triplet.sh")
    tuples = row_values(triplet.flags)
    small = PRESETS["laptop"]
    return [
        Line(
            "θ + m > π",
            "silent: Algorithm 1 as printed",
            "as printed (earlier versions had `easy_margin`)",
            flag("policy", arcface.policy),
            "as printed; the log counts such images",
        ),
        Line(
            "arccos at ±1",
            "as printed",
            "as printed; NaN where an embedding is along its own centre",
            "cosines are clipped by one rounding step; `--literal` leaves the clip out",
            "gradients stay finite; elsewhere the results are equal bit for bit",
        ),
        Line(
            "start of the class centres",
            "silent",
            "Normal(0.01)",
            "Normal(1/√d), rows of a length near 1 (`symbols/centres.py`)",
            "rows of length 0.23, as Normal(0.01) gives them, turn 20 times as fast in the first steps; short runs did "
            "not start to learn from them (results/trials.md)",
        ),
        Line(
            "softmax's bias",
            "eq. 1 has one",
            "has one; its doubled learning rate has no effect, because the optimizer has no names",
            "has one, with the common learning rate",
            "eq. 1",
        ),
        Line(
            "weights of the intra, inter and triplet terms",
            "not printed",
            "the terms are not in it",
            "1",
            "the equations as printed",
        ),
        Line(
            "triplets",
            "the inequality only",
            "5 images an identity, a bag of 7,200 images, random semi-hard triplets of the bag, margin 0.35, lr 0.05, "
            "60 images a device",
            f"{flag('images_per_identity', tuples['images_per_identity'])}, {flag('mining', tuples['mining'])} in the "
            f"batch of {tuples['batch_size']}, {flag('margin', tuples['margin'])}, {flag('lr', tuples['lr'])}; "
            "[triplet_released.sh](triplet_released.sh) has the released values",
            "one reader and one schedule for all rows. In the second recipe each step draws its triplets from a bag of "
            "its own, where the released code uses a bag for many steps; the loss then draws again within the batch",
        ),
        Line(
            "SphereFace (its own paper), A-Softmax",
            "the SphereFace paper's network of 20 to 64 layers",
            "not in it",
            f"{flag('network', tuples['network'])}, λ from {a_softmax.lambda_base:g} to "
            f"{a_softmax.lambda_min:g} by SphereFace's formula; "
            f"λ ends after {small['lambda_ramp']:.0%} of the run",
            "one network for all rows; in a short run the formula would not reach its end",
        ),
        Line(
            "CosFace (its own paper)",
            "the CosFace paper's network of 64 layers",
            "not in it",
            f"{flag('network', tuples['network'])} with CosFace's batch and schedule",
            "one network for all rows",
        ),
    ]


def network_lines() -> List[Line]:
    paper = to_flat(from_flat(PRESETS["paper"]))
    small = PRESETS["laptop"]
    return [
        Line(
            "backbone",
            "ResNet50 with the improved residual unit",
            "r50: units 3, 4, 14, 3; dropout 0.4",
            f"{flag('network', paper['network'])}, {flag('dropout', paper['dropout'])}; {small['network']} with "
            f"{small['width']:g} of the filters, {small['embedding_size']} dimensions, {small['image_size']} "
            "pixels",
            "the released network; the small one trains in minutes on a CPU",
        ),
        Line(
            "BatchNorm's statistics",
            "4 GPUs: of 128 images",
            "of the images of a device",
            "of the images of a device: 512 on one, 128 on four",
            "choose `--devices` as in the paper to have its statistics",
        ),
        Line(
            "PReLU in training on a CPU",
            "-",
            "MXNet's LeakyReLU",
            "a form with other operators, equal to float32 rounding",
            "faster on a CPU; exported graphs have MXNet's operator",
        ),
    ]


def data_lines() -> List[Line]:
    return [
        Line(
            "order of the images",
            "silent",
            "shuffled each epoch; the last part of an epoch that fills no batch is dropped",
            "shuffled each epoch; the rest runs into the next epoch",
            "a run can resume at any step",
        ),
    ]


def evaluation_lines() -> List[Line]:
    return [
        Line(
            "threshold of a fold",
            "silent",
            "the first best of a grid of 400 squared distances, 0.01 apart",
            "the middle of the exactly best; `verify --protocol insightface` takes their grid",
            "the grid costs or gains up to 4 of 1,200 pairs",
        ),
        Line(
            "flip test",
            "single crops",
            "embeddings of image and mirror image are added before they are normalised",
            "both are printed: none, sum",
            "so that both kinds of published figures can be compared",
        ),
        Line(
            "TAR at FAR of a verification set",
            "not printed",
            "interpolated in each fold, then averaged",
            "over all pairs, with the number of accepted different pairs rounded down",
            "not comparable with the released figure",
        ),
    ]


def page() -> str:
    """Return the page. Cells are Markdown of this file, which `markdown_table` would escape."""
    table = [("setting", "paper", "released", "here", "reason"), ("---",) * 5, *lines()]
    return "\n".join([HEAD, *(f"| {' | '.join(line)} |" for line in table), TAIL])


if __name__ == "__main__":
    print(page(), end="")
