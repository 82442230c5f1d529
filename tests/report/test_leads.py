"""The mark of rows that lead softmax: it needs a difference beyond the noise of identities and of seeds."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.report.leads import sets_in_lead
from tests.report.test_table import write_run

PAIRS = 1000
SAME = np.arange(PAIRS) % 2 == 0
FIRST = np.arange(PAIRS, dtype=np.uint16)
SECOND = np.where(SAME, FIRST, FIRST + PAIRS).astype(np.uint16)
NOISE = np.random.RandomState(0).randn(PAIRS)


def write_scores(run, wrong, first=FIRST, second=SECOND, flip="none"):
    """Scores of which a share of the pairs is decided wrongly, the first ones of a fixed random order."""
    order = np.random.RandomState(1).permutation(PAIRS)
    right = np.ones(PAIRS, bool)
    right[order[: int(wrong * PAIRS)]] = False
    scores = np.where(SAME == right, 0.8, 0.2) + 0.001 * NOISE
    parts = {"same": SAME, "first": first, "second": second, flip: scores.astype(np.float16)}
    np.savez(os.path.join(run, "scores.npz"), **{f"faces/{part}": value for part, value in parts.items()})
    return run


@pytest.fixture
def make(tmp_path):
    def run(name, wrong, **named):
        os.makedirs(tmp_path / name)
        return write_scores(str(tmp_path / name), wrong, **named)

    return run


def test_a_difference_beyond_noise_leads(make):
    base = [make("softmax", 0.20)]
    # With 40 of 1,000 independent pairs decided better and none worse, the difference has the deviation
    # sqrt(40) pairs; with 3 pairs it is less than two deviations.
    assert sets_in_lead([make("a", 0.16)], base) == {"faces"}
    assert sets_in_lead([make("b", 0.197)], base) == set()
    assert sets_in_lead(base, [make("c", 0.16)]) == set()


def test_seeds_that_differ_more_than_rows_do_not_lead(make):
    base = [make("softmax-0", 0.30), make("softmax-1", 0.10)]
    assert sets_in_lead([make("a", 0.16), make("b", 0.16)], base) == set()
    assert sets_in_lead([make("c", 0.16), make("d", 0.16)], [make("e", 0.20), make("f", 0.201)]) == {"faces"}


def test_gains_of_one_identity_do_not_lead(make):
    gained = np.random.RandomState(1).permutation(PAIRS)[160:200]
    first, second = FIRST.copy(), SECOND.copy()
    first[gained], second[gained] = 0, np.where(SAME[gained], 0, SECOND[gained])
    one = dict(first=first, second=second)
    assert sets_in_lead([make("a", 0.16, **one)], [make("b", 0.20, **one)]) == set()


def test_other_pairs_or_flip_tests_are_not_compared(make):
    base = [make("softmax", 0.20)]
    moved = dict(first=FIRST + 1, second=np.where(SAME, FIRST + 1, FIRST + PAIRS).astype(np.uint16))
    assert sets_in_lead([make("a", 0.0, **moved)], base) == set()
    assert sets_in_lead([make("b", 0.0, flip="sum")], base) == set()
    assert sets_in_lead([make("c", 0.0)], base, "sum") == set()
    assert sets_in_lead([make("d", 0.0)], []) == set()


def test_the_table_marks_the_row_and_says_what_the_mark_means(tmp_path, capsys):
    softmax = write_scores(write_run(str(tmp_path / "softmax"), 0.80, loss="softmax"), 0.20)
    arcface = write_scores(write_run(str(tmp_path / "arcface"), 0.84), 0.16)
    json_file, csv_file = str(tmp_path / "table.json"), str(tmp_path / "table.csv")
    assert main(["table", softmax, arcface, "--json", json_file, "--csv", csv_file]) == 0
    shown = capsys.readouterr().out
    assert "| 84.00 ▲ |" in shown and "|   80.00 |" in shown and "▲ above Softmax beyond noise" in shown
    with open(json_file, encoding="utf-8") as stream:
        assert {row["row"]: row["leads"] for row in json.load(stream)["rows"]} == {
            "Softmax": [],
            "ArcFace (0.5)": ["faces"],
        }
    with open(csv_file, encoding="utf-8") as stream:
        assert "▲" not in stream.read()
    assert main(["table", softmax, arcface, "--tar", "0.01"]) == 0
    assert "▲" not in capsys.readouterr().out
