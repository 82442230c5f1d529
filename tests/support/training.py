"""Small training runs for tests, and what they leave behind."""

from __future__ import annotations

import json
import os
import signal

import numpy as np

from arcface_mx.config import field_table, find_loss, from_flat
from arcface_mx.train import checkpoint

TINY = {
    "network": "iresnet18",
    "width": 0.07,
    "embedding_size": 16,
    "image_size": 32,
    "batch_size": 8,
    "dropout": 0.0,
    "scale": 16.0,
    "lr": 0.05,
    "lr_drops": (),
    "steps": 12,
    "log_every": 4,
    "checkpoint_every": 4,
}


def tiny_config(**values):
    """A configuration of a small run. TINY's scale is left out for a loss that has none."""
    settings = dict(TINY, **values)
    loss = settings.get("loss", "arcface")
    if "scale" not in values and "scale" not in field_table(find_loss(loss)):
        del settings["scale"]
    return from_flat(settings)


def tiny(tmp_path, faces, name="run", **values):
    """A configuration of a small run in `tmp_path`/`name`."""
    return tiny_config(data=faces, run=str(tmp_path / name), **values)


def final(config):
    """The state of the latest checkpoint."""
    return checkpoint.latest(config.run.run)


def events(config, kind):
    """The events of a kind in log.jsonl."""
    with open(os.path.join(config.run.run, "log.jsonl"), encoding="utf-8") as stream:
        return [entry for entry in map(json.loads, stream) if entry["event"] == kind]


def assert_same(one, two, tolerance=0.0):
    """All arrays of two states are equal, or differ by at most `tolerance` times the largest value, or 1."""
    for group in ("arg_params", "aux_params", "momentum"):
        first, second = getattr(one, group), getattr(two, group)
        assert set(first) == set(second) and first
        for name in first:
            a, b = first[name].asnumpy(), second[name].asnumpy()
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, np.abs(a).max()), err_msg=name)


def interrupt_after(monkeypatch, steps):
    """Send this process Ctrl-C at the end of a step."""
    from arcface_mx.train import log

    count = []

    def step(self):
        count.append(1)
        if len(count) == steps:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(log.RunLog, "step", step)
