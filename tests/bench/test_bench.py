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


def test_centres_bench(tmp_path, capsys):
    out = str(tmp_path / "centres.json")
    flags = ["--classes", "60", "--contexts", "1,2", "--embedding-size", "16", "--batch-size", "4", "--repetitions", "1", "--steps", "1"]
    assert main(["bench", "centres", *flags, "--json", out]) == 0
    with open(out, encoding="utf-8") as stream:
        one, two = json.load(stream)
    assert (one["devices"], two["devices"]) == (1, 2) and one["loss"] > 0 and abs(one["loss"] - two["loss"]) < 1e-3
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["60", "1"]


def test_mistakes_of_the_bench(capsys):
    assert main(["bench", "input"]) == 2
    assert main(["bench", "centres", "--classes", "many"]) == 2
    assert capsys.readouterr().err.count("\n") == 2
