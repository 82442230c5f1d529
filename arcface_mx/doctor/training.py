"""Short training runs on a device, for the probes: one step, stop and resume, half precision, memory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any, Dict, Iterator, List, Mapping, Tuple

import numpy as np

from arcface_mx.config import TrainConfig, find_loss, from_flat
from arcface_mx.planning.plan import Plan, make_plan
from arcface_mx.planning.workload import Workload
from arcface_mx.train import checkpoint
from arcface_mx.train.run import train
from arcface_mx.train.state import RunState
from arcface_mx.util.files import temporary_directory

IDENTITIES, IMAGES, SIDE = 8, 4, 32
SETTINGS: Mapping[str, Any] = {
    "network": "iresnet18",
    "width": 0.125,
    "embedding_size": 32,
    "dropout": 0.0,
    "image_size": SIDE,
    "batch_size": IDENTITIES * IMAGES,
    "lr": 0.05,
    "lr_drops": (),
    "log_every": 1,
}
# Largest differences, relative to the CPU's loss and to the length of the CPU's gradient. Rounding the inputs of all
# layers and products as TF32 does, on the CPU, changes the loss by up to 5e-4 and the gradient by up to 3e-2. Losses on
# tuples change more, by 5e-3 and 0.14, because other triplets are mined. Float32 is 2^13 times more precise.
FLOAT32: Mapping[str, float] = {"loss": 1e-4, "gradient": 1e-3}
TF32: Mapping[str, float] = {"loss": 2e-3, "gradient": 0.1}
TF32_TUPLES: Mapping[str, float] = {"loss": 2e-2, "gradient": 0.5}
TF32_HEAD = 5e-3  # TF32 rounds to 2^-11, so a cosine is off by at most 1e-3, and its gradient by a little more
BATCHES = (512, 256, 128, 64, 32, 16, 8)
CASIA_CLASSES = 10572


def may_use_tf32() -> bool:
    """Return whether products of float32 may run as TF32, which Ampere and newer cards do."""
    return os.environ.get("NVIDIA_TF32_OVERRIDE") != "0"


def step_limits(loss: str) -> Mapping[str, float]:
    """Return the limits of `step_errors` for a loss."""
    if not may_use_tf32():
        return FLOAT32
    return TF32_TUPLES if find_loss(loss)().needs_tuples else TF32


def is_within(errors: Mapping[str, float], limits: Mapping[str, float]) -> bool:
    """Return whether every error is a number and at most its limit."""
    return all(error <= limits[part] for part, error in errors.items())


def step_errors(loss: str, device: str) -> Dict[str, float]:
    """Train one step on cpu(0) and on a device; return the relative differences of loss and gradient."""
    with faces() as data:
        exact, compared = (one_step(loss, place, data) for place in ("cpu(0)", device))
    difference, length = compared[1] - exact[1], np.linalg.norm(exact[1])
    return {
        "loss": float(abs(compared[0] - exact[0]) / max(abs(exact[0]), 1e-6)),
        "gradient": float(np.linalg.norm(difference) / length),
    }


def one_step(loss: str, device: str, data: str) -> Tuple[float, np.ndarray]:
    """Return loss and momentum after the first step; the momentum is then the gradient times the learning rate."""
    config = settings(data, device, loss=loss, steps=1)
    train(config)
    state = last_state(config)
    momentum = [array.asnumpy().ravel().astype(np.float64) for _, array in sorted(state.momentum.items())]
    return losses(config)[0], np.concatenate(momentum)


def resume_equals_unbroken(device: str) -> Tuple[bool, bool]:
    """Return whether two steps change the parameters, and whether a resumed run ends as an unbroken one."""
    with faces() as data:
        common = {"dropout": 0.4, "deterministic": True, "steps": 4, "checkpoint_every": 2}
        config = settings(data, device, **common)
        train(config)
        run = config.run.run
        unbroken, middle = last_state(config), checkpoint.load(checkpoint.checkpoint_path(run, 2))
        changed = not _same(unbroken.arg_params, middle.arg_params)
        shutil.rmtree(checkpoint.checkpoint_path(run, 4))
        os.remove(os.path.join(run, "metrics.json"))
        command = [sys.executable, "-m", "arcface_mx", "train", "--resume", run]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        resumed = last_state(config)
        return changed, all(
            _same(getattr(unbroken, group), getattr(resumed, group))
            for group in ("arg_params", "aux_params", "momentum")
        )


def half_precision_losses(device: str) -> Tuple[List[float], bool]:
    """Return the losses of three steps in float16, and whether they change the parameters."""
    with faces() as data:
        config = settings(data, device, dtype="float16", steps=3, checkpoint_every=1, keep_checkpoints=3)
        train(config)
        first = checkpoint.load(checkpoint.checkpoint_path(config.run.run, 1))
        return losses(config), not _same(first.arg_params, last_state(config).arg_params)


def largest_batch(device: str) -> Tuple[int, Plan]:
    """Return the largest batch of the paper's network that the plan fits into a device, 0 if none does."""
    for size in BATCHES:
        workload = Workload.of(from_flat({"devices": device, "batch_size": size}))
        plan = make_plan(workload, CASIA_CLASSES)
        if plan.fits:
            return size, plan
    return 0, plan


def settings(data: str, device: str, **values: Any) -> TrainConfig:
    """Return the configuration of a short run beside its data."""
    tuples = find_loss(values.get("loss", "arcface"))().needs_tuples
    run = tempfile.mkdtemp(dir=os.path.dirname(data))
    common = dict(SETTINGS, data=data, run=os.path.join(run, "run"), devices=device)
    return from_flat({**common, **({"images_per_identity": IMAGES} if tuples else {}), **values})


def losses(config: TrainConfig) -> List[float]:
    """Return the loss of each logged step."""
    with open(os.path.join(config.run.run, "log.jsonl"), encoding="utf-8") as stream:
        return [entry["loss"] for entry in map(json.loads, stream) if entry["event"] == "step"]


def last_state(config: TrainConfig) -> RunState:
    """Return the state of the latest checkpoint."""
    state = checkpoint.latest(config.run.run)
    assert state is not None
    return state


@contextlib.contextmanager
def faces() -> Iterator[str]:
    """Yield a folder of records with images of noise, each near the pattern of its identity; remove it at the end."""
    import cv2

    from arcface_mx.data.recordio.writer import RecordWriter

    random = np.random.RandomState(0)
    with temporary_directory() as folder:
        data = os.path.join(folder, "faces")
        with RecordWriter(data, SIDE, SIDE) as writer:
            for identity in range(IDENTITIES):
                pattern = np.kron(random.randint(40, 215, (4, 4, 3)), np.ones((SIDE // 4, SIDE // 4, 1)))
                for _ in range(IMAGES):
                    pixels = np.clip(pattern + random.normal(0, 25, pattern.shape), 0, 255).astype(np.uint8)
                    writer.add(identity, cv2.imencode(".png", pixels)[1].tobytes())
        yield data


def _same(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    return set(one) == set(two) and all((one[name].asnumpy() == two[name].asnumpy()).all() for name in one)
