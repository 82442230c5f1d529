"""Checkpoints come back bit for bit, and damaged ones are refused by name."""

from __future__ import annotations

import json
import os

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.errors import UserError
from arcface_mx.train import checkpoint
from arcface_mx.train.checkpoint import RunState


def state(step=7):
    random = np.random.RandomState(step)
    arrays = {name: mx.nd.array(random.normal(size=shape)) for name, shape in (("a", (3, 4)), ("b", (5,)))}
    return RunState(step, arrays, {"mean": mx.nd.array(random.normal(size=2))}, {"a": arrays["a"] * 2}, {"step": 3})


def test_what_is_saved_comes_back(tmp_path):
    saved = state()
    checkpoint.save(str(tmp_path), saved, keep=2)
    loaded = checkpoint.newest(str(tmp_path))
    assert (loaded.step, loaded.best) == (7, {"step": 3})
    for group in ("arg_params", "aux_params", "momentum"):
        one, two = getattr(saved, group), getattr(loaded, group)
        assert set(one) == set(two)
        for name in one:
            np.testing.assert_array_equal(one[name].asnumpy(), two[name].asnumpy())


def test_the_newest_are_kept(tmp_path):
    for step in (1, 2, 3, 10):
        checkpoint.save(str(tmp_path), state(step), keep=2)
    assert [os.path.basename(path) for path in checkpoint.existing(str(tmp_path))] == ["step-00000010", "step-00000003"]


def test_every_flipped_bit_is_seen_and_the_one_before_is_taken(tmp_path):
    for step in (1, 2):
        path = checkpoint.save(str(tmp_path), state(step), keep=2)
    name = os.path.join(path, "arrays.params")
    with open(name, "rb") as stream:
        whole = stream.read()
    for bit in np.random.RandomState(0).randint(0, 8 * len(whole), 50):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << (bit % 8)
        with open(name, "wb") as stream:
            stream.write(broken)
        said = []
        assert checkpoint.newest(str(tmp_path), said.append).step == 1
        assert "step-00000002" in said[0] and "damaged" in said[0]


def test_another_format_is_refused(tmp_path):
    path = checkpoint.save(str(tmp_path), state(), keep=1)
    note_file = os.path.join(path, "state.json")
    with open(note_file) as stream:
        note = json.load(stream)
    note["format"] = 99
    with open(note_file, "w") as stream:
        json.dump(note, stream)
    with pytest.raises(UserError, match="format 99"):
        checkpoint.load(path)


def test_a_failed_save_leaves_the_one_before_and_nothing_else(tmp_path, monkeypatch):
    checkpoint.save(str(tmp_path), state(1), keep=2)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_json", full)
    with pytest.raises(UserError, match="No space left"):
        checkpoint.save(str(tmp_path), state(2), keep=2)
    assert os.listdir(str(tmp_path / "checkpoints")) == ["step-00000001"]
