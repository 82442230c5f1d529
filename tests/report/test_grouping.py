"""A row is its recipe: other runs stand apart, named by what differs, and nothing is averaged silently."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.cli.table import TABLES
from arcface_mx.config import from_flat
from arcface_mx.metrics.verification import evaluate
from arcface_mx.report import paper
from arcface_mx.report.budgets import Budget, nearest_budget, recipe_values, scaled_drops
from arcface_mx.report.grouping import group_runs
from arcface_mx.report.table import TableRow, set_names
from arcface_mx.train.folder import record_template_result
from tests.report.test_table import write_run

ROWS = paper.read_rows(paper.default_path())
ROW = {row.recipe: row for row in ROWS}
SMALL = Budget("laptop", 700)


@pytest.fixture
def make(tmp_path):
    """Write a finished run of a recipe in the budget SMALL, with changed settings and an environment."""

    def write(name, recipe="arcface_m0.50.sh", accuracy=0.9, budget=SMALL, data="a" * 20, version="1", **changed):
        folder = str(tmp_path / name)
        write_run(folder, accuracy, **{**recipe_values(ROW[recipe], budget), "run": name, **changed})
        environment = {"arcface_mx": version, "data": {"folder": "/x/faces", "fingerprint": data}}
        with open(os.path.join(folder, "environment.json"), "w") as stream:
            json.dump(environment, stream)
        return folder

    return write


def names(folders):
    return [group.name for group in group_runs(folders, ROWS)[0]]


def notes(folders):
    return group_runs(folders, ROWS)[1]


def test_a_run_that_is_not_the_recipe_stands_apart_by_what_differs(make, capsys):
    """The trial that was once printed as three seeds of one row."""
    folders = [
        make("recipe"),
        make("easy", policy="easy_margin", seed=1),
        make("other", network="mobilefacenet", scale=16.0, lr=0.003, seed=2),
    ]
    assert names(folders) == [
        "ArcFace (0.5)",
        "ArcFace (0.5), policy=easy_margin",
        "ArcFace (0.5), scale=16, network=mobilefacenet, lr=0.003",
    ]
    assert main(["table", *folders]) == 0
    lines = capsys.readouterr().out.splitlines()[3:]
    assert [line.split("|")[2].strip() for line in lines] == ["1", "1", "1"]
    assert "99.53" in lines[0] and "small network" in lines[0]
    assert "99.53" not in lines[1] and "99.53" not in lines[2]


@pytest.mark.parametrize(
    "changed",
    [
        {"policy": "linear"},
        {"scale": 20.0},
        {"margin_ramp": 0.0},
        {"sample_rate": 0.5},
        {"intra_weight": 2.0},
        {"weight_decay": 0.0},
        {"warmup_steps": 0},
        {"lr_drops": (450, 600)},
        {"batch_size": 64},
        {"image_size": 48},
        {"mirror": False},
        {"init": "model,0", "freeze": ("conv0",)},
        {"dropout": 0.4},
        {"head": "native"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_every_setting_that_changes_the_result_counts(make, changed):
    # Two runs by the recipe tell which budget the table has.
    groups, _ = group_runs([make("a"), make("b", seed=1), make("c", **changed)], ROWS)
    assert [group.row.name if group.row else None for group in groups] == ["ArcFace (0.5)", None]
    assert all(f"{name}=" in groups[1].name or "budget" in groups[1].name for name in changed)


@pytest.mark.parametrize(
    "changed",
    [{"seed": 7}, {"eval": ("lfw.bin",)}, {"devices": "gpu(0)"}, {"log_every": 1}, {"decode_threads": 1}],
    ids=lambda changed: next(iter(changed)),
)
def test_what_does_not_change_the_row(make, changed):
    assert names([make("a"), make("b", **{"seed": 1, **changed})]) == ["ArcFace (0.5)"]


def test_the_papers_schedule_may_be_written_in_two_ways(make):
    paper_budget = recipe_values(ROW["cosface.sh"], Budget("paper"))
    other = {**paper_budget, "schedule_batch": 0}
    for values in (paper_budget, other):
        assert nearest_budget(from_flat(values), ROW["cosface.sh"]) == Budget("paper")
    folder = make("cosface", "cosface.sh", budget=Budget("paper"), schedule_batch=0)
    (group,), _ = group_runs([folder], ROWS)
    assert group.row is ROW["cosface.sh"] and group.budget.is_paper


def test_another_batch_of_the_papers_budget_is_one_difference(make):
    assert names([make("small", budget=Budget("paper"), batch_size=128)]) == ["ArcFace (0.5), batch_size=128"]


def test_drops_keep_their_shares_and_fall_together_in_short_runs():
    assert scaled_drops((20000, 28000), 32000, 320) == (200, 280)
    assert scaled_drops((16000, 24000, 28000), 30000, 4) == (2, 3)
    assert scaled_drops((900, 1250), 1400, 1) == ()


@pytest.mark.parametrize("steps", [5, 9, 700])
def test_rows_that_differ_in_their_schedule_alone_are_told_apart(make, steps):
    """At 5 steps two of the three drops of CosFace's own schedule fall together."""
    folders = [make(recipe, recipe, budget=Budget("laptop", steps)) for recipe in ("cosface.sh", "cosface_m0.35.sh")]
    assert names(folders) == ["CosFace (its own paper)", "CosFace (0.35)"]


def test_budgets_are_not_averaged(make):
    folders = [make("a"), make("b", seed=1), make("c", seed=2, budget=Budget("laptop", 1400))]
    assert names(folders) == ["ArcFace (0.5)", "ArcFace (0.5), budget laptop, 1400 steps"]
    assert notes(folders) == [
        "these runs mix budgets, and runs that differ in this are not averaged "
        "(laptop, 700 steps: 2 runs; laptop, 1400 steps: 1 run)"
    ]


def test_data_sets_and_versions_are_not_averaged(make):
    folders = [make("a"), make("b", seed=1), make("c", seed=2, data="b" * 20), make("d", seed=3, version="2")]
    assert names(folders) == [
        "ArcFace (0.5)",
        "ArcFace (0.5), trained on faces (bbbbbbb)",
        "ArcFace (0.5), version 2",
    ]
    first, second = notes(folders)
    assert "mix training sets" in first and "faces (aaaaaaa): 3 runs; faces (bbbbbbb): 1 run" in first
    assert "mix versions" in second and "1: 3 runs; 2: 1 run" in second


def test_sets_of_one_name_and_another_size_are_not_averaged(make):
    folders = [make("a"), make("b", seed=1), make("c", seed=2)]
    for folder, pairs in zip(folders, (6000, 6000, 1200)):
        path = os.path.join(folder, "metrics.json")
        with open(path) as stream:
            metrics = json.load(stream)
        metrics["sets"]["faces"]["pairs"] = pairs
        with open(path, "w") as stream:
            json.dump(metrics, stream)
    assert names(folders) == ["ArcFace (0.5)", "ArcFace (0.5), faces of 1200 pairs"]


def test_a_set_that_only_one_seed_has_does_not_separate_seeds(make, capsys):
    folders = [make("a"), make("b", seed=1)]
    metrics = error_metrics()
    record_template_result(folders[0], "ytf", "none", metrics)
    record_template_result(folders[0], "ytf", "sum", {**metrics, "accuracy": 0.9})
    assert names(folders) == ["ArcFace (0.5)"]
    assert main(["table", *folders]) == 0
    header, _, line = capsys.readouterr().out.splitlines()[1:4]
    cells = dict(zip(map(str.strip, header.split("|")), map(str.strip, line.split("|"))))
    assert cells["ytf"] == "93.40" and cells["faces"] == "90.00 ± 0.00"
    assert main(["table", *folders, "--flip", "sum"]) == 0
    assert "90.00 |" in capsys.readouterr().out


def error_metrics():
    """The metrics of a template protocol with 40 pairs."""
    scores = np.linspace(1, 0, 40)
    return {**evaluate(scores, scores > 0.5, 10).to_json(), "accuracy": 0.934}


def test_the_table_of_spheres_paper_has_five_rows_and_ten_figures(make, capsys):
    folders = [
        make("m1", "a_softmax_m1.sh", 0.91),
        make("m4", "sphereface.sh", 0.94),
        make("plain", "softmax.sh", 0.90),
        make("another", "arcface_m0.50.sh", 0.95),
    ]
    assert main(["table", *folders, "--table", "SphereFace", "--all-rows"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0][-2:] == ["LFW (paper)", "YTF (paper)"]
    assert [(row[0], *row[-2:]) for row in cells[2:7]] == [
        ("original softmax", "97.88", "93.1"),
        ("A-Softmax (m = 1)", "97.90", "93.2"),
        ("A-Softmax (m = 2)", "98.40", "93.8"),
        ("A-Softmax (m = 3)", "99.25", "94.4"),
        ("A-Softmax (m = 4)", "99.42", "95.0"),
    ]
    assert [row[2] for row in cells[2:7]] == ["90.00", "91.00", "not run", "not run", "94.00"]
    assert cells[7][0] == "ArcFace (0.5)"


def test_the_journals_table_has_four_rows():
    rows = [row for row in paper.rows_of_table(ROWS, "journal") if row.table == "journal"]
    assert [(row.name, *row.figures.values()) for row in rows] == [
        ("NS (s = 20)", 99.20, 94.61, 92.65, None),
        ("NS+Intra (s = 20)", 99.30, 94.85, 93.58, None),
        ("NS+Inter (s = 20)", 99.22, 94.73, 92.94, None),
        ("NS+Intra+Inter (s = 20)", 99.31, 94.88, 93.76, None),
    ]
    assert TABLES == paper.TABLES


def test_missing_seeds_and_copies_are_named(make):
    folders = [make("a0"), make("a1", seed=1), make("copy", seed=1), make("s0", "softmax.sh")]
    groups, said = group_runs(folders, ROWS)
    assert [len(group.runs) for group in groups] == [2, 1]
    assert said == [f"{folders[2]} has the settings and the seed of {folders[1]}; it is not counted",
                    "Softmax: seed 1 is missing"]  # fmt: skip


def test_a_run_without_a_recipe_is_named_and_not_averaged_with_another(make, capsys):
    folders = [make("mine", m=0.6), make("yours", m=0.7)]
    assert names(folders) == ["mine", "yours"]
    assert main(["table", *folders]) == 0
    error = capsys.readouterr().err
    assert (
        error.count("no recipe in recipes/paper.csv has the loss and settings of this run") == 2
        and "note: mine" in error
    )


def test_seeds_of_a_run_without_a_recipe_are_averaged(make):
    folders = [make(f"mine-seed{seed}", m=0.6, seed=seed) for seed in (0, 1)]
    assert names(folders) == ["mine"]


def test_notes_stand_on_the_page_and_in_the_json(make, tmp_path):
    page, values = str(tmp_path / "t.md"), str(tmp_path / "t.json")
    folders = [make("a0"), make("a1", seed=1), make("s0", "softmax.sh")]
    assert main(["table", *folders, "--markdown", page, "--json", values]) == 0
    with open(page, encoding="utf-8") as stream:
        assert "- Softmax: seed 1 is missing\n" in stream.read()
    with open(values) as stream:
        assert json.load(stream)["notes"] == ["Softmax: seed 1 is missing"]


def test_columns_have_one_order_and_figures_the_papers_digits(make, capsys):
    order = ["orl", "agedb_30", "ytf", "cfp_fp", "lfw"]
    assert set_names([TableRow("x", values={name: [1.0] for name in order})]) == [
        "lfw",
        "cfp_fp",
        "agedb_30",
        "ytf",
        "orl",
    ]
    assert main(["table", make("m2", "a_softmax_m2.sh")]) == 0
    shown = capsys.readouterr().out
    assert " 98.40 |" in shown and " 93.8 |" in shown and "93.80" not in shown
