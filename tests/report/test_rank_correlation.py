"""Rank correlation with the paper; the table as plot, page and JSON."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.report import paper
from arcface_mx.report.rank_correlation import rank_correlations
from arcface_mx.report.table import TableRow
from tests.report.test_table import write_run

ROWS = [row for row in paper.read_rows(paper.default_path()) if row.table == "ArcFace"]


def table_rows(value_of, runs=3):
    """Rows whose `runs` values on three sets are value_of(the paper's value, run)."""
    columns = (("faces_lfw", "LFW"), ("faces_cfp_fp", "CFP-FP"), ("orl", "AgeDB-30"))
    rows = []
    for row in ROWS:
        values = {
            name: [value_of(row.figures[column], run) for run in range(runs)]
            for name, column in columns
            if row.figures[column] is not None
        }
        rows.append(TableRow(row.name, runs, values, row))
    return rows


@pytest.mark.slow
def test_the_papers_order_has_correlation_1_and_its_reverse_minus_1():
    same = rank_correlations(table_rows(lambda value, run: value))
    reverse = rank_correlations(table_rows(lambda value, run: -value))
    assert [(item.set, item.column, item.rows) for item in same] == [
        ("faces_lfw", "LFW", 20),
        ("faces_cfp_fp", "CFP-FP", 18),
    ]  # orl is like no column of the paper
    assert [item.rho for item in same] == pytest.approx([1.0, 1.0])
    assert [item.rho for item in reverse] == pytest.approx([-1.0, -1.0])
    assert all(item.interval == pytest.approx((1.0, 1.0)) for item in same)


def test_only_the_order_counts():
    """One seed, so that no interval is drawn. The correlation of the values themselves is below 0.9."""
    rising = rank_correlations(table_rows(lambda value, run: np.exp(5 * (value - 99)), runs=1))
    assert [item.rho for item in rising] == pytest.approx([1.0, 1.0])


@pytest.mark.slow
def test_the_interval_widens_with_the_spread_of_seeds():
    random = np.random.RandomState(0)
    close, wide = (
        rank_correlations(table_rows(lambda value, run, noise=noise: value + noise * random.randn()))[0]
        for noise in (0.01, 1.0)
    )
    assert close.interval[1] - close.interval[0] < wide.interval[1] - wide.interval[0]
    assert close.interval[0] <= close.rho <= 1.0


def test_one_seed_gives_no_interval_and_few_rows_no_correlation():
    assert rank_correlations(table_rows(lambda value, run: value, runs=1))[0].interval is None
    assert rank_correlations(table_rows(lambda value, run: value)[:4]) == []


def test_the_table_as_plot_page_and_json(tmp_path, capsys):
    runs = []
    for number, row in enumerate(ROWS[:6]):
        runs.append(write_run(str(tmp_path / f"run{number}"), 0.8 + 0.01 * number, **paper.row_values(row.flags)))
    for run in runs:
        with open(os.path.join(run, "environment.json"), "w") as stream:
            json.dump(
                {
                    "commit": "0123456789",
                    "processor": "abacus",
                    "data": {"folder": "/x/faces", "fingerprint": "fedcba9876"},
                },
                stream,
            )
        metrics = os.path.join(run, "metrics.json")
        with open(metrics) as stream:
            text = stream.read()
        with open(metrics, "w") as stream:
            stream.write(text.replace('"faces"', '"my_lfw"'))
    png, page, values = (str(tmp_path / name) for name in ("t.png", "t.md", "t.json"))
    assert main(["table", *runs, "--png", png, "--markdown", page, "--json", values]) == 0
    assert "order of 6 rows, my_lfw against the paper's LFW: Spearman" in capsys.readouterr().out
    assert cv2.imread(png).shape[1] > 200
    with open(page, encoding="utf-8") as stream:
        text = stream.read()
    assert "0123456" in text and "abacus" in text and "faces (fedcba9)" in text and "Spearman" in text
    with open(values) as stream:
        written = json.load(stream)
    assert len(written["rows"]) == 6 and written["rank_correlation"][0]["rows"] == 6
