"""Runs are compared on the same pairs, with intervals over identities."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.bins.read import read_pairs
from arcface_mx.report.comparison import as_markdown, compare_runs
from arcface_mx.report.scores import ScoredSet
from arcface_mx.train.run import train
from arcface_mx.util.errors import UserError
from tests.support.training import tiny


def scored(pairs, noise, seed=0):
    """Scores near 1 for same and 0 for different pairs."""
    scores = pairs.same + noise * np.random.RandomState(seed).normal(size=len(pairs))
    return ScoredSet("m", "tiny", pairs, np.zeros((1, 1)), scores)


def test_a_worse_run_is_below_the_first_beyond_its_interval_and_a_copy_is_not(tiny_pairs):
    pairs = read_pairs(tiny_pairs)
    first, copy, worse = compare_runs("abc", [scored(pairs, 0.1), scored(pairs, 0.1), scored(pairs, 5.0)])
    assert first.accuracy == 100.0 and first.interval == (100.0, 100.0)
    assert copy.difference == 0.0 and copy.difference_interval == (0.0, 0.0)
    assert worse.difference < 0 and worse.difference_interval[1] < 0
    assert worse.interval[0] < worse.accuracy < worse.interval[1]
    assert f"{worse.difference:+.2f}" in as_markdown([first, copy, worse]).splitlines()[-1]


def test_other_pairs_are_refused(tiny_pairs):
    pairs = read_pairs(tiny_pairs)
    flipped = copy.copy(pairs)
    flipped.same = ~pairs.same
    with pytest.raises(UserError, match="different pairs"):
        compare_runs("ab", [scored(pairs, 0.1), scored(flipped, 0.1)])


@pytest.mark.slow
def test_the_command_prints_and_writes_the_comparison(tmp_path, tiny_faces, tiny_pairs, capsys):
    runs = []
    for name, values in (("one", {}), ("two", {"m": 0.1})):
        config = tiny(tmp_path, tiny_faces, name, steps=2, **values)
        train(config)
        runs.append(config.run.run)
    path = str(tmp_path / "c.json")
    assert main(["compare", *runs, "--eval", tiny_pairs, "--json", path]) == 0
    assert "95 % interval of the difference" in capsys.readouterr().out
    with open(path) as stream:
        first, second = json.load(stream)
    assert first["difference"] == 0.0 and second["set"] == "tiny" and second["name"] == "two"
    assert main(["compare", runs[0], "--eval", tiny_pairs]) == 2
    assert "two folders or more" in capsys.readouterr().err
