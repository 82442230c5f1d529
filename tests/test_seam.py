"""A new loss costs four steps: builder, class, recipe, a line in the tests' list.

The loss here also has a schedule and a setting that is a whole number.

The steps are done here in a copy of the code with a loss of its own, which is then held to the
battery that all heads are held to, and trained by its recipe's flags.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

BUILDER = '''
import math
import mxnet as mx
from arcface_mx.symbols.centres import class_centres
from arcface_mx.symbols.margin import CLIP


def linear_logits(embedding, label, num_classes, *, scale=64.0, m=0.5, weight=None, ramp=None, dtype="float32"):
    """The target's logit falls in a straight line: s·(1 − 2·(θ + m)/π)."""
    weight = class_centres(embedding, num_classes) if weight is None else weight
    x = mx.sym.L2Normalization(embedding, mode="instance")
    W = mx.sym.L2Normalization(weight, mode="instance")
    fc7 = mx.sym.FullyConnected(x, W, no_bias=True, num_hidden=num_classes, name="cosine")
    original = mx.sym.pick(fc7, label, axis=1, name="target_cosine")
    theta = mx.sym.arccos(mx.sym.clip(original, CLIP - 1.0, 1.0 - CLIP))
    target = 1.0 - (theta + (m if ramp is None else ramp * m)) * (2.0 / math.pi)
    one_hot = mx.sym.one_hot(label, depth=num_classes, dtype=dtype)
    return (fc7 + mx.sym.broadcast_mul(one_hot, mx.sym.expand_dims(target - original, axis=1))) * scale
'''

LOSS = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from arcface_mx.losses.first_loss import first_cross_entropy
from arcface_mx.losses.base import LossWithTerms, ScaledMargin, cross_entropy_graph
from arcface_mx.util.settings import setting


@dataclass(frozen=True)
class Linear(ScaledMargin, LossWithTerms):
    name: ClassVar[str] = "linear"
    summary: ClassVar[str] = "a straight line"
    bends: int = setting(0, "a setting that is a whole number", 0, 3)
    m: float = setting(0.5, "margin, radians", 0.0, 1.0)

    def head_graph(self, inputs):
        from arcface_mx import symbols
        from arcface_mx.symbols.linear import linear_logits

        centres = symbols.class_centres(inputs.embedding, inputs.num_classes)
        logits = linear_logits(
            inputs.embedding, inputs.label, inputs.num_classes, scale=self.scale, m=self.m, weight=centres,
            ramp=inputs.scalars.get("margin_ramp"),
        )
        return cross_entropy_graph(logits, inputs.label, centres)

    def first_head_loss(self, num_classes, embedding_size):
        m = self.margin_at_start(self.m)
        return first_cross_entropy(
            num_classes, embedding_size, self.scale, lambda cosine: 1 - (np.arccos(cosine) + m) * (2 / np.pi)
        )
"""

ENTRY = """
from arcface_mx.losses.linear import Linear

LOSSES["linear"] = Linear
"""

RECIPE = """#!/usr/bin/env bash
# Row: Linear (0.3). s·(1 − 2·(θ + 0.3)/π).
. "$(dirname "$0")/lib/common.sh"
train --loss linear --m 0.3 --margin-ramp 0.5 --bends 2 "$@"
"""

LINE = """

def linear_reference(x, w, label):
    logits = SCALE * reference.cosines(x, w)
    for i, y in enumerate(label):
        cosine = logits[i, y] / SCALE
        if not CLIP - 1.0 <= cosine.real <= 1.0 - CLIP:
            cosine = cosine * 0 + np.sign(cosine.real) * (1.0 - CLIP)
        logits[i, y] = SCALE * (1.0 - 2.0 * (np.arccos(cosine) + 0.5) / np.pi)
    return logits


from arcface_mx.symbols.linear import linear_logits

HEADS["linear"] = Head(
    lambda x, label, w, n, dtype: linear_logits(x, label, n, scale=SCALE, m=0.5, weight=w, dtype=dtype),
    linear_reference,
)
"""


def copy_of_the_code(folder: str) -> None:
    for name in ("arcface_mx", "symbols", "data", "recipes", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "results", "sheets", "*.egg-info")
        shutil.copytree(os.path.join(ROOT, name), os.path.join(folder, name), ignore=ignored, symlinks=True)


def append(folder: str, path: str, text: str) -> None:
    with open(os.path.join(folder, path), "a", encoding="utf-8") as stream:
        stream.write(text)


def run_python(folder: str, *arguments: str) -> str:
    environment = dict(os.environ, PYTHONPATH=folder, PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_a_new_loss_in_four_steps(tmp_path, tiny_faces):
    folder = str(tmp_path / "copy")
    copy_of_the_code(folder)
    append(folder, "symbols/linear.py", BUILDER)
    append(folder, "arcface_mx/losses/linear.py", LOSS)
    append(folder, "arcface_mx/losses/__init__.py", ENTRY)
    append(folder, "recipes/linear.sh", RECIPE)
    append(folder, "tests/symbols/heads.py", LINE)

    assert folder in run_python(folder, "-c", "import arcface_mx.symbols; print(arcface_mx.symbols.__file__)")
    passed = run_python(
        folder,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/symbols/test_heads.py",
        "-k",
        "linear and not arcface and not sphere and not cm2",
    )
    assert int(re.search(r"(\d+) passed", passed).group(1)) >= 15

    flags = RECIPE.rsplit("train ", 1)[1].split(' "')[0].split()
    shown = run_python(
        folder,
        "-m",
        "arcface_mx",
        "train",
        "--data",
        tiny_faces,
        "--run",
        str(tmp_path / "run"),
        "--network",
        "iresnet18",
        "--width",
        "0.07",
        "--embedding-size",
        "16",
        "--image-size",
        "32",
        "--batch-size",
        "8",
        "--dropout",
        "0",
        "--scale",
        "16",
        "--lr",
        "0.05",
        "--steps",
        "60",
        "--lr-drops",
        "50",
        "--log-every",
        "10",
        *flags,
    )
    losses = [float(value) for value in re.findall(r"loss ([\d.]+)", shown.split("step 10/60", 1)[1])]
    assert losses[-1] < 0.7 * losses[0]
    assert "expected first loss" in shown and "accuracy" in shown
