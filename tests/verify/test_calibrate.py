"""`calibrate` writes a file that is refused for other parameters."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.bins.read import read_pairs
from arcface_mx.model import load_model
from arcface_mx.util.errors import UserError
from arcface_mx.verify.calibration_file import read_calibration
from arcface_mx.verify.sets import verify_set
from tests.support import nets


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    symbol = nets.embedding((32, 32))
    return nets.save(tmp_path_factory.mktemp("calibrated"), symbol, *nets.parameters(symbol, (32, 32))) + ",0"


def test_command_on_pairs_and_on_a_face_set(model, tiny_pairs, tiny_faces, tmp_path, capsys):
    for source, pairs, kind in (
        (tiny_pairs, 20, "independent"),
        (tiny_faces, 35 * 34 // 2 - 5 * 21, "identities are drawn"),
    ):
        path = str(tmp_path / "c.json")
        assert main(["calibrate", model, source, "--out", path]) == 0
        shown = capsys.readouterr().out
        assert f"{pairs} different pairs" in shown and kind in shown and f"not measurable with {pairs}" in shown
        stored = read_calibration(path, model)
        assert stored.for_flip("sum").num_different == stored.for_flip("none").num_different == pairs


@pytest.mark.parametrize("far", [0.1, 0.2])
def test_each_flip_test_has_the_threshold_of_its_own_scores(model, tiny_pairs, tmp_path, far):
    """The highest threshold of flipped scores that accepts the stated share of different pairs, by counting."""
    path = str(tmp_path / "c.json")
    assert main(["calibrate", model, tiny_pairs, "--out", path]) == 0
    result, same = verify_set(load_model(model), tiny_pairs), read_pairs(tiny_pairs).same
    thresholds = {}
    for flip in ("none", "sum"):
        falling = np.sort(result.scores[flip][~same])[::-1]
        calibration = read_calibration(path, model).for_flip(flip)
        thresholds[flip] = calibration.threshold(far)
        assert falling[int(far * 20)] < thresholds[flip] <= falling[int(far * 20) - 1]
        if far == 0.1:
            level = calibration.level(far)
            assert np.sum(falling >= level.threshold) == level.accepted == 2
            assert level.tar == np.mean(result.scores[flip][same] >= level.threshold)
    assert thresholds["none"] != thresholds["sum"]


def test_a_place_that_cannot_be_written_to_is_refused_before_the_work(model, tiny_pairs, tmp_path, capsys, monkeypatch):
    assert main(["calibrate", model, tiny_pairs, "--out", str(tmp_path)]) == 2
    assert f"{tmp_path}: is a folder; --out takes" in capsys.readouterr().err
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(tmp_path))
    monkeypatch.setattr("arcface_mx.verify.calibrate.calibrate_model", None)  # is not reached
    assert main(["calibrate", model, tiny_pairs, "--out", str(tmp_path / "new" / "c.json")]) == 2
    assert f"{tmp_path}: cannot be written to; give the name" in capsys.readouterr().err


def test_a_calibration_of_other_parameters_is_refused(model, tiny_pairs, tmp_path):
    path = str(tmp_path / "c.json")
    assert main(["calibrate", model, tiny_pairs, "--out", path]) == 0
    symbol = nets.embedding((32, 32))
    other = nets.save(tmp_path, symbol, *nets.parameters(symbol, (32, 32), seed=1)) + ",0"
    with pytest.raises(UserError, match="was made with other parameters"):
        read_calibration(path, other)


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"format": 9}), json.dumps({"format": 2, "flips": 3})])
def test_a_broken_file_is_named(model, tmp_path, content):
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(UserError, match="c.json"):
        read_calibration(str(path), model)
