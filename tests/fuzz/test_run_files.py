"""JSON files beside a run and notes in `.params` may say anything: one clear line, or they work."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import random
import struct

import numpy as np
import pytest

from arcface_mx.config import TrainConfig, to_json
from arcface_mx.export import card
from arcface_mx.faces.compare import rule_at_far
from arcface_mx.metrics.calibration import PairScores, calibrate
from arcface_mx.metrics.verification import evaluate
from arcface_mx.report import provenance
from arcface_mx.report.page.sections import RunReport, accuracy_section, configuration_section
from arcface_mx.report.plots.history import read_steps
from arcface_mx.report.table import as_markdown, collect, read_results
from arcface_mx.train import folder
from arcface_mx.util.errors import UserError
from arcface_mx.util.params import read_arrays, write_arrays
from arcface_mx.verify.calibration_file import StoredCalibration, read_calibration, write_calibration
from arcface_mx.verify.sets import SetResult

ODD = (
    None,
    True,
    -1,
    0,
    2**70,
    10**400,
    1.5,
    "",
    "x",
    "a\0b",
    "\ud800",
    "\x1b[2J\n",
    [],
    {},
    [None],
    {"x": 1},
    [[]] * 3,
)
RUNS = 120  # changed files of each kind


def places(value, path=()):
    """Yield the path of each value inside a JSON value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield (*path, key)
        yield from places(entry, (*path, key))


def changed(value, chance):
    """Return a copy of a JSON value in which one value is another one, or is missing."""
    result = copy.deepcopy(value)
    *path, last = chance.choice(list(places(value)))
    target = result
    for key in path:
        target = target[key]
    if chance.random() < 0.15:
        del target[last]
    else:
        target[last] = chance.choice(ODD)
    return result


def scores():
    chance = np.random.RandomState(0)
    return chance.normal(0.7, 0.1, 40), chance.normal(0.0, 0.1, 40)


@pytest.fixture(scope="module")
def files():
    """The values in the files of a run, as this project writes them."""
    same, different = scores()
    rates = evaluate(np.concatenate([same, different]), np.arange(80) < 40, 10, "x")
    result = SetResult("a run", "faces", 80, 160, rates, rates, 1.0).to_json()
    environment = folder.environment("cpu", {"folder": "faces", "fingerprint": "0" * 64, "images": 3})
    step = {"event": "step", "step": 1, "epoch": 0.1, "lr": 0.1, "loss": 3.0, "target_angle_histogram": [1, 2, 3]}
    return {
        "config.json": to_json(TrainConfig()),
        "metrics.json": {"step": 4, "skipped_steps": 0, "sets": {"faces": result}, "mean_accuracy": 0.9},
        "baselines.json": [dict(result, method="PCA")],
        "environment.json": environment,
        "log.jsonl": step,
    }


def use(run):
    """Read all files of a run as the commands table, report and export do."""
    as_markdown(collect([run])).encode("utf-8", "surrogateescape")
    provenance.describe([run]).encode("utf-8", "surrogateescape")
    report = RunReport(run, folder.read_config(run), read_results(run), None, (), {}, "", 1, None)
    for section in (accuracy_section, configuration_section):
        "".join(section(report)).encode("utf-8", "surrogateescape")
    read_steps(run)
    model_card = card.Card(**{name: None for name in card.Card.__annotations__})
    model_card = replaced(model_card, source=run, is_run=True)
    (card._origin(model_card) + card._measured(model_card)).encode("utf-8", "surrogateescape")


def replaced(value, **changes):
    import dataclasses

    return value._replace(**changes) if hasattr(value, "_replace") else dataclasses.replace(value, **changes)


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "baselines.json", "environment.json", "log.jsonl"])
def test_changed_files_of_a_run_work_or_give_one_line(name, files, tmp_path):
    chance, refused = random.Random(name), 0
    for other, value in files.items():
        (tmp_path / other).write_text(json.dumps(value))
    use(str(tmp_path))
    for _ in range(RUNS):
        (tmp_path / name).write_text(json.dumps(changed(files[name], chance)))
        try:
            use(str(tmp_path))
        except UserError as error:
            assert "\n" not in str(error) and "\x1b" not in str(error)
            refused += 1
    assert refused > RUNS // 4


def test_changed_calibrations_work_or_give_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("arcface_mx.verify.calibration_file.model_fingerprint", lambda *model: "m")
    path = str(tmp_path / "x-calibration.json")
    write_calibration(path, StoredCalibration("m", ("faces",), {"none": calibrate(PairScores(*scores()))}))
    with open(path, encoding="utf-8") as stream:
        value = json.load(stream)
    chance, refused = random.Random(0), 0
    for _ in range(2 * RUNS):
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(changed(value, chance), stream)
        try:
            stored = read_calibration(path, "x")
            for far in (0.1, 0.07):
                assert np.isfinite(rule_at_far(stored.for_flip("none"), far).threshold)
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > RUNS // 2


def test_changed_notes_of_parameter_files_give_one_line(tmp_path):
    """The note has a valid checksum: somebody wrote it on purpose."""
    stream = io.BytesIO()
    write_arrays(
        stream, {"arg:w": np.ones((2, 3), np.float32), "aux:m": np.ones(2, np.float32)}, {"symbol_sha256": "0"}
    )
    whole = stream.getvalue()
    start = whole.index(b'{"arrays"')
    note = json.loads(whole[start : -struct.calcsize("<32sQ")])
    chance, refused, path = random.Random(0), 0, tmp_path / "x.params"
    for _ in range(2 * RUNS):
        packed = json.dumps(changed(note, chance)).encode()
        path.write_bytes(whole[:start] + packed + struct.pack("<32sQ", hashlib.sha256(packed).digest(), len(packed)))
        try:
            assert isinstance(read_arrays(str(path)).facts, dict)
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > RUNS


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', '{"sets": {}, "step": 1e999}', "[" * 100000])
def test_numbers_that_json_does_not_have_are_refused(text, tmp_path):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(UserError, match="metrics.json: "):
        folder.read_metrics(str(tmp_path))
