"""Benchmarks run and compare what they say they compare."""

from __future__ import annotations

import json

from arcface_mx.bench.timing import compare
from arcface_mx.cli import main


def test_repetitions_are_interleaved_and_the_warm_up_is_left_out():
    calls = []

    def contestant(name):
        return lambda: calls.append(name) or 1

    timings = compare({"a": contestant("a"), "b": contestant("b")}, repetitions=3)
    assert calls == ["a", "b"] * 4
    assert [len(timing.rates) for timing in timings] == [3, 3] and timings[0].ratio == 1.0


def test_input_bench(tiny_faces, tmp_path):
    out = str(tmp_path / "input.json")
    assert main(["bench", "input", "--data", tiny_faces, "--images", "16", "--batch-size", "8", "--repetitions", "1", "--json", out]) == 0
    with open(out, encoding="utf-8") as stream:
        assert [entry["name"] for entry in json.load(stream)][1] == "arcface-mx stream"
