"""The flags of every recipe run on a GPU for three steps, and no step launches or waits more than is stated here."""

from __future__ import annotations

import pytest

from arcface_mx.cli import main
from tests.gpu.conftest import refuse
from tests.gpu.test_step import kinds
from tests.test_recipes import ROWS, command_line

# What the paper's settings are replaced by, so that a run takes a second. Two images have an identity at least.
SMALL = "--network iresnet18 --width 0.07 --embedding-size 16 --image-size 32 --batch-size 16 --schedule-batch 0"
SHORT = "--steps 3 --lr-drops 2 --warmup-steps 0 --log-every 100 --checkpoint-every 100 --devices gpu(0)"
LIMITS = {"kernel": 330, "convolution": 62, "update": 2, "wait": 40, "copy": 12}
# Triplets are mined in each step.
TRIPLET_LIMITS = {**LIMITS, "kernel": 380, "copy": 70}
# With --bag a step first embeds that many batches, of which the triplets are drawn.
OF_A_BATCH_OF_THE_BAG = {"kernel": 91, "convolution": 21, "update": 0, "wait": 3, "copy": 2}


@pytest.mark.parametrize("recipe", [row.recipe for row in ROWS])
def test_a_recipe_runs_on_a_gpu(recipe, tmp_path, tiny_faces, tiny_pairs, steps):
    flags = [*command_line(recipe, "paper"), *SMALL.split(), *SHORT.split()]
    if "--images-per-identity" in flags:
        flags += ["--images-per-identity", "4"]  # which divides the batch
    files = ["--data", tiny_faces, "--eval", tiny_pairs, "--run", str(tmp_path / "run")]
    assert main(["train", "--preset", "paper", *files, *flags]) == 0
    refuse(steps[-1])
    one_step = kinds(steps[2] - steps[1])
    limits = TRIPLET_LIMITS if "triplet" in recipe else LIMITS
    if "--bag" in flags:
        bag = int(flags[flags.index("--bag") + 1])
        limits = {kind: limit + bag * OF_A_BATCH_OF_THE_BAG[kind] for kind, limit in limits.items()}
    assert {kind: one_step[kind] for kind in limits if one_step[kind] > limits[kind]} == {}
