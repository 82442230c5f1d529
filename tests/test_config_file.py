"""Settings from a file start the run that they describe; what is wrong in a file is one line."""

from __future__ import annotations

import glob
import json
import os
import re

import pytest

from arcface_mx.cli import main
from arcface_mx.config import from_flat, to_flat
from arcface_mx.config_file import read_settings
from arcface_mx.report import paper
from arcface_mx.train.folder import read_config
from arcface_mx.util.environment import num_threads
from tests.support.training import TINY, assert_same, final, tiny_config

RECIPES = os.path.dirname(paper.default_path())
COMMITTED = sorted(glob.glob(os.path.join(RECIPES, "results", "*", "runs", "*")))
OTHER_PLACE = {"data", "eval", "run"}


def recipe_of(run):
    return re.sub(r"-seed\d+$", "", os.path.basename(run)) + ".sh"


@pytest.mark.slow
@pytest.mark.skipif(not COMMITTED, reason="recipes/results is not part of this installation")
def test_every_committed_configuration_is_the_row_of_its_recipe():
    rows = paper.read_rows(paper.default_path())
    assert len(COMMITTED) > 100
    for run in COMMITTED:
        config, row = read_config(run), paper.find_row(read_config(run), rows)
        assert row is not None and row.recipe == recipe_of(run), run
        with open(os.path.join(run, "config.json"), encoding="utf-8") as stream:
            old = json.load(stream)
        assert f"-seed{config.run.seed}" in run and config.optimizer.steps == old["optimizer"]["steps"]
        assert config.data.images_per_identity == old["data"]["photos_a_person"]
        assert getattr(config.loss, "margin_ramp", None) in (None, old["loss"]["margin_ramp"])


@pytest.mark.slow
@pytest.mark.skipif(not COMMITTED, reason="recipes/results is not part of this installation")
@pytest.mark.parametrize("name", ["arcface_m0.50-seed0", "cosface_m0.35-seed1", "sphereface_m1.35-seed2"])
def test_a_committed_configuration_starts_again_with_the_bits_of_its_flags(name, tmp_path, tiny_faces):
    """The run's own data is not here, so the same three steps are done on a tiny set."""
    run = next(run for run in COMMITTED if os.path.basename(run) == name)
    row = next(row for row in paper.read_rows(paper.default_path()) if row.recipe == recipe_of(run))
    small = f"--data {tiny_faces} --width 0.07 --batch-size 8 --steps 3 --lr-drops 2 --log-every 1".split()
    again = str(tmp_path / "again")
    stored = ["--config", os.path.join(run, "config.json"), "--eval="]
    assert main(["train", *stored, *small, "--run", again]) == 0
    flags = "--preset laptop --image-size 32".split() + ["--seed", name[-1], *row.flags]
    assert main(["train", *flags, *small, "--run", str(tmp_path / "flags"), "--warmup-steps", "150"]) == 0
    assert_same(final_of(again), final_of(str(tmp_path / "flags")))


def final_of(run):
    from arcface_mx.train.checkpoint import latest

    return latest(run)


FORMS = {
    "groups.json": '{"optimizer": {"lr": 0.2, "lr_drops": [3, 5]}, "loss": {"name": "cosface", "m": 0.3}}',
    "flat.json": '{"lr": 0.2, "lr_drops": [3, 5], "loss": "cosface", "m": 0.3}',
    "groups.yaml": "optimizer:\n  lr: 0.2\n  lr_drops: [3, 5]\nloss:\n  name: cosface\n  m: 0.3\n",
    "flat.yml": "lr: 0.2\nlr_drops: [3, 5]\nloss: cosface\nm: 0.3\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_settings_stand_in_groups_or_without(name, tmp_path):
    if not name.endswith(".json"):
        pytest.importorskip("yaml")
    (tmp_path / name).write_text(FORMS[name])
    expected = {"lr": 0.2, "lr_drops": (3, 5), "loss": "cosface", "m": 0.3}
    assert read_settings(str(tmp_path / name)) == expected


def printed(capsys, *flags):
    assert main(["train", *flags, "--print-config"]) == 0
    return json.loads(capsys.readouterr().out)


def test_flags_override_the_file_and_a_new_loss_drops_the_old_ones_settings(tmp_path, capsys):
    path = str(tmp_path / "run.json")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write('{"loss": "cosface", "m": 0.3, "steps": 50, "lr_drops": [], "run": "runs/x"}')
    shown = printed(capsys, "--config", path, "--steps", "70")
    assert shown["loss"]["m"] == 0.3 and shown["optimizer"]["steps"] == 70 and shown["run"]["run"] == "runs/x"
    shown = printed(capsys, "--config", path, "--loss", "softmax")
    assert shown["loss"]["name"] == "softmax" and "m" not in shown["loss"] and shown["optimizer"]["steps"] == 50


def test_the_folder_of_a_finished_run_is_not_taken_from_its_record(tmp_path, capsys):
    with open(tmp_path / "config.json", "w", encoding="utf-8") as stream:
        stream.write('{"run": {"run": "runs/x"}}')
    assert printed(capsys, "--config", str(tmp_path / "config.json"))["run"]["run"] == ""


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"optimizer": {"step": 3}}', "unknown entry optimizer.step; did you mean steps?"),
        ('{"step": 3}', "unknown entry step; did you mean steps?"),
        ('{"optimiser": {"steps": 3}}', "unknown entry 'optimiser'; did you mean optimizer?"),
        ('{"steps": "3"}', "steps is '3'; expected a value like 32000"),
        ('{"loss": "arcfase"}', "--loss must be one of arcface"),
        ('{"steps": 0}', "--steps must lie in 1 to"),
        ("[3]", "holds list, expected dict"),
        ("{", "cannot be read as JSON"),
        ('{"loss": {"loss": "margin"}}', "is not a whole configuration of version 0.1.0"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(text, words, tmp_path, capsys):
    path = tmp_path / "run.json"
    path.write_text(text)
    assert main(["train", "--config", str(path), "--print-config"]) == 2
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
    assert str(path) in message or "must" in message


def test_a_folder_or_a_misspelled_name_is_one_line_with_the_right_one(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    for given, words in ((tmp_path, f"is a folder; give {tmp_path / 'config.json'}"), (tmp_path / "confg.json", "did")):
        assert main(["train", "--config", str(given)]) == 2
        message = capsys.readouterr().err
        assert words in message and message.count("\n") == 1
    assert f"no such file; did you mean {tmp_path / 'config.json'}?" in message


def test_yaml_without_pyyaml_is_one_line(tmp_path, monkeypatch, capsys):
    import sys

    (tmp_path / "run.yaml").write_text("steps: 3\n")
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert main(["train", "--config", str(tmp_path / "run.yaml")]) == 2
    assert "YAML needs PyYAML: pip install PyYAML" in capsys.readouterr().err


def test_broken_yaml_is_one_line(tmp_path, capsys):
    pytest.importorskip("yaml")
    (tmp_path / "run.yaml").write_text("steps: [3\nlr: 0.1\n")
    assert main(["train", "--config", str(tmp_path / "run.yaml")]) == 2
    message = capsys.readouterr().err
    assert "run.yaml: cannot be read as YAML" in message and message.count("\n") == 1


@pytest.mark.slow
def test_a_file_starts_the_run_of_its_flags(tmp_path, tiny_faces):
    path = str(tmp_path / "run.json")
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(dict(TINY, data=tiny_faces, run=str(tmp_path / "file"), steps=3), stream)
    assert main(["train", "--config", path]) == 0
    config = tiny_config(data=tiny_faces, run=str(tmp_path / "flags"), steps=3)
    from arcface_mx.train.run import train

    train(config)
    assert_same(final_of(str(tmp_path / "file")), final(config))
    # The file of a run states its number of threads, which the flags leave open.
    expected = {**to_flat(config), "threads": num_threads()}
    assert {**to_flat(read_config(str(tmp_path / "file"))), "run": ""} == {**expected, "run": ""}
    assert from_flat(read_settings(str(tmp_path / "flags" / "config.json"))) == from_flat(expected)
