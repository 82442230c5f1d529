"""Benchmarks run, in turn and in processes of their own, and report what they measured."""

from __future__ import annotations

import json
import sys

import mxnet as mx
import pytest

from arcface_mx.bench import embed, head, reader, step, verify
from arcface_mx.bench.benchmarks import BENCHMARKS, measure
from arcface_mx.bench.cases import Case, run_cases
from arcface_mx.bench.networks import NETWORKS, Network
from arcface_mx.bench.results import origin, report, table
from arcface_mx.bench.timing import Sample, summarise
from arcface_mx.cli import main
from arcface_mx.cli.bench import CHOICES, NETWORK_NAMES
from arcface_mx.planning.cost import forward_operations
from arcface_mx.symbols import iresnet
from arcface_mx.util.errors import UserError
from tests.support.bench_cases import setup_that_dies, setup_that_fails, setup_that_writes

TINY = Network("iresnet18", 0.0625, 32, 8, 4)


@pytest.mark.slow
def test_cases_run_in_turn_in_processes_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr("arcface_mx.bench.cases.SHORT", 0.0)
    path = str(tmp_path / "calls")
    cases = [
        Case("a", setup_that_writes, {"path": path, "name": "a"}),
        Case("broken", setup_that_fails),
        Case("b", setup_that_writes, {"path": path, "name": "b", "megabytes": 50}),
    ]
    timings, failures = run_cases(cases, repetitions=2)
    with open(path) as stream:
        assert stream.read() == "ab" * 3  # the first time is the warm-up
    assert [timing.name for timing in timings] == ["a", "b"] and failures == ["broken: ValueError: no engine"]
    assert [len(timing.rates) for timing in timings] == [2, 2] and timings[0].ratio == 1.0
    assert 45 < timings[1].peak_mb - timings[0].peak_mb < 80


@pytest.mark.slow
def test_a_baseline_that_cannot_start_is_an_error():
    with pytest.raises(UserError, match="broken: ValueError: no engine"):
        run_cases([Case("broken", setup_that_fails), Case("b", setup_that_dies)], 1)


@pytest.mark.slow
def test_a_case_that_dies_is_named():
    with pytest.raises(UserError, match="mortal: BrokenProcessPool"):
        run_cases([Case("mortal", setup_that_dies)], 1)


def test_ratios_are_medians_of_the_rounds_and_the_peak_is_that_of_its_case():
    samples = {
        "base": [Sample(2.0, 4.0, 1), Sample(8.0, 4.0, 1)],
        "twice": [Sample(1.0, 1.0, 1), Sample(4.0, 1.0, 1)],
    }
    base, twice = summarise(samples, {"base": 3.0, "twice": 3.0}, {}, peak="twice")
    assert (twice.ratio, twice.cpu_ratio, twice.cpu) == (2.0, 4.0, 1.0)
    assert base.peak_share == pytest.approx(base.gflops / twice.gflops)


def test_waiting_is_a_share_of_the_time_of_cases_that_read():
    samples = {"reads": [Sample(2.0, 1.0, 1, 0.5)] * 3, "reads nothing": [Sample(2.0, 1.0, 1)] * 3}
    reads, other = timings = summarise(samples, {}, {})
    assert (reads.waiting, other.waiting) == (0.25, None)
    header, _, first, second = table(timings, "steps/s").splitlines()
    assert header.endswith("| input wait |") and first.endswith("|       25 % |") and second.endswith("|            |")
    assert "GFLOP/s" not in header  # a column without values is left out


def test_work_of_a_network_is_that_of_its_layers():
    symbol = iresnet(mx.sym.Variable("data"), embedding_size=8, width=1 / 16, units=(1,), input_size=16)
    # conv0 3→4 at 16², unit 4→4 at 16² and 8², shortcut 1×1 at 8², 4·8·8 → 8
    products = 16 * 16 * 27 * 4 + 16 * 16 * 36 * 4 + 8 * 8 * 36 * 4 + 8 * 8 * 4 * 4 + 256 * 8
    assert forward_operations(symbol, data=(1, 3, 16, 16)) / 1e9 == pytest.approx(2e-9 * products)


@pytest.mark.parametrize("kind", [head.PRODUCTS, "literal", "graph"])
def test_a_head_steps(kind):
    assert head.setup(kind, (4, 6, 8), update=kind != head.PRODUCTS)() == 1


@pytest.mark.slow
def test_thresholds_give_the_same_accuracy_as_the_exact_search():
    embeddings, same = verify.random_pairs()
    exact = verify.exact_accuracy(embeddings, same)
    assert verify.accuracy_by_thresholds(embeddings, same) == pytest.approx(exact, abs=2e-3) and 0.8 < exact < 1.0


@pytest.mark.parametrize("engine", list(embed.CASES))
def test_every_engine_embeds(engine, monkeypatch):
    if engine in ("onnx", "int8"):
        pytest.importorskip("onnxruntime")
    monkeypatch.setitem(NETWORKS, "tiny", TINY)
    assert embed.setup("tiny", 2, engine)() == 2


def test_a_step_that_reads_tells_how_long_it_waited(tiny_faces):
    run = step.setup(TINY, tiny_faces, reading=True)
    for _ in range(12):  # beyond the end of an epoch
        images, waited = run()
        assert images == 4 and 0 <= waited < 60
    assert step.setup(TINY, tiny_faces, reading=False)() == (4, None)


def test_both_ways_of_reading_read_all_batches(tiny_faces):
    for loop in (True, False):
        assert reader.setup(tiny_faces, batch_size=8, batches=3, loop=loop)() == 24


def test_a_report_names_its_commit_command_and_machine(tmp_path):
    written = report("x", {"data": str(tmp_path / "faces"), "images": 0, "batch_size": 8})
    assert written["command"] == "arcface-mx bench x --data faces --batch-size 8"
    assert written["commit"] is None or len(written["commit"].rstrip("+")) == 40
    assert (written["commit"] or "unknown")[:7] in origin(written) and sys.platform in written["machine"]["system"]


def test_the_command_knows_every_benchmark_and_network():
    assert tuple(BENCHMARKS) == CHOICES and tuple(NETWORKS) == NETWORK_NAMES


@pytest.mark.slow
def test_bench_input_and_its_report(tiny_faces, tmp_path, capsys):
    out = str(tmp_path / "input.json")
    flags = ["--data", tiny_faces, "--images", "16", "--batch-size", "8", "--repetitions", "1", "--json", out]
    assert main(["bench", "input", *flags]) == 0
    with open(out, encoding="utf-8") as stream:
        written = json.load(stream)
    assert [timing["name"] for timing in written["timings"]][1:] == ["arcface-mx"]
    assert written["machine"]["mxnet"] == "1.9.1" and written["unit"] == "images/s"
    assert written["command"].startswith("arcface-mx bench input --data faces --images 16")
    assert "| arcface-mx " in capsys.readouterr().out


def test_mistakes_name_the_argument():
    for name, settings, message in (
        ("input", {"data": ""}, "`data` is missing"),
        ("head", {"classes": 0, "embedding_size": 8}, "`classes` must be at least 1, got 0"),
        ("step", {"network": "recipe", "data": "x", "batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ("verify", {}, "`repetitions` must be at least 1, got 0"),
    ):
        with pytest.raises(UserError, match=message):
            measure(name, settings, repetitions=0 if name == "verify" else 1)


def test_mistakes_on_the_command_line(capsys):
    assert main(["bench", "input"]) == 2
    assert main(["bench", "head", "--classes", "0"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 2 and "--data is missing" in errors and "--classes must be" in errors
