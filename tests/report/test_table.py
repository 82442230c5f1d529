"""The table: flags tell the row, seeds are averaged, and the paper's values come from paper.csv alone."""

from __future__ import annotations

import json
import os

import pytest

from arcface_mx.cli import main
from arcface_mx.config import from_flat, to_json
from arcface_mx.report import paper

ROWS = paper.read_rows(paper.default_path())


def write_run(folder, accuracy, **values):
    os.makedirs(folder)
    metrics = {"accuracy": accuracy, "std": 0.0, "tar_at_far": {"1e-02": accuracy / 2, "1e-03": None}}
    with open(os.path.join(folder, "config.json"), "w") as stream:
        json.dump(to_json(from_flat(values)), stream)
    with open(os.path.join(folder, "metrics.json"), "w") as stream:
        json.dump({"sets": {"faces": {"set": "faces", "method": "x", "none": metrics, "sum": metrics}}}, stream)
    return folder


def test_the_paper_has_twenty_rows_and_the_flags_of_each_tell_it():
    assert len([row for row in ROWS if row.table == "ArcFace"]) == 20
    for row in ROWS:
        assert paper.find_row(from_flat({**paper.row_values(row.flags), "run": "x"}), ROWS) is row


def test_scale_and_schedule_do_not_change_the_row():
    config = from_flat({"m": 0.5, "scale": 30.0, "steps": 100, "network": "mobilefacenet"})
    assert paper.find_row(config, ROWS).name == "ArcFace (0.5)"
    assert paper.find_row(from_flat({"m": 0.6}), ROWS) is None


def test_seeds_are_averaged_and_the_papers_values_are_shown(tmp_path, capsys):
    runs = [write_run(str(tmp_path / name), value, seed=seed) for name, value, seed in (("a", 0.9, 0), ("b", 0.92, 1))]
    runs.append(write_run(str(tmp_path / "mine"), 0.8, m=0.6))
    table = str(tmp_path / "table.csv")
    assert main(["table", *runs, "--csv", table]) == 0
    shown = capsys.readouterr().out
    assert "| ArcFace (0.5) |    2 | 91.00 ± 1.41 |       99.53 |          95.56 |            95.15 |" in shown
    assert "| mine          |    1 |        80.00 |           - |" in shown
    with open(table, encoding="utf-8") as stream:
        assert stream.read().splitlines()[1] == "ArcFace (0.5),2,91.00 ± 1.41,99.53,95.56,95.15"


def test_rows_that_have_not_run_say_so(tmp_path, capsys):
    run = write_run(str(tmp_path / "a"), 0.9)
    assert main(["table", run, "--all-rows"]) == 0
    assert capsys.readouterr().out.count("not run") == 19


def test_tar_that_cannot_be_measured_is_not_shown(tmp_path, capsys):
    run = write_run(str(tmp_path / "a"), 0.9)
    assert main(["table", run, "--tar", "0.01"]) == 0
    assert "45.00" in capsys.readouterr().out
    assert main(["table", run, "--tar", "0.001"]) == 0
    assert "faces" not in capsys.readouterr().out


@pytest.mark.parametrize("far", ["0.012", "0.5"])
def test_a_far_that_runs_do_not_measure_is_refused(far, tmp_path, capsys):
    assert main(["table", str(tmp_path), "--tar", far]) == 2
    assert f"--tar must be one of 0.1, 0.01, 0.001, 0.0001, 1e-05, 1e-06, got {far}" in capsys.readouterr().err


def test_a_run_that_has_not_finished_is_named(tmp_path, capsys):
    run = write_run(str(tmp_path / "a"), 0.9)
    os.unlink(os.path.join(run, "metrics.json"))
    assert main(["table", run]) == 2
    assert "has the run finished?" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "row,LFW\nx,1\n", None])
def test_a_broken_paper_table_is_named(tmp_path, content, capsys):
    path = str(tmp_path / "paper.csv")
    if content is not None:
        with open(path, "w") as stream:
            stream.write(content)
    run = write_run(str(tmp_path / "a"), 0.9)
    code = main(["table", run, "--paper", path])
    assert code == (0 if content == "" else 2)
