"""`tensorboard` writes the figures of log.jsonl, read back with a parser of the event format."""

from __future__ import annotations

import glob
import json
import os
import sys

import pytest

from arcface_mx.cli import main
from arcface_mx.config import from_flat
from arcface_mx.train.run import train
from tests.support.training import TINY


def scalars(run):
    """{(tag, step): value} of the event files."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in sorted(glob.glob(os.path.join(run, "tensorboard", "*"))):
        with open(path, "rb") as stream:
            data = stream.read()
        at = 0
        while at < len(data):  # length, its checksum, the event, its checksum
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                if value.WhichOneof("value") == "simple_value":
                    found[value.tag, event.step] = value.simple_value
    return found


def test_scalars_are_those_of_the_log(tmp_path, tiny_faces):
    pytest.importorskip("tensorboardX")
    run = str(tmp_path / "run")
    train(from_flat(dict(TINY, data=tiny_faces, run=run, steps=4, lr_drops=(3,), log_every=2, tensorboard=True)))
    found = scalars(run)
    with open(os.path.join(run, "log.jsonl"), encoding="utf-8") as stream:
        steps = [event for event in map(json.loads, stream) if event["event"] == "step"]
    assert [event["step"] for event in steps] == [2, 4]
    for event in steps:
        for name in ("loss", "lr", "target_angle", "accuracy"):
            assert found["train/" + name, event["step"]] == pytest.approx(event[name], rel=1e-5)


def test_what_is_missing_is_named_before_the_run(tmp_path, tiny_faces, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    run = tmp_path / "run"
    assert main(["train", "--data", tiny_faces, "--run", str(run), "--tensorboard"]) == 2
    assert "--tensorboard needs tensorboardX: pip install" in capsys.readouterr().err
    assert not run.exists()
