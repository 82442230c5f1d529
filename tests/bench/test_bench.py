"""Benchmarks run, compare what they say they compare, and their contestants compute the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.bench import batch, growth, head, network, race, suite, table, verification
from arcface_mx.bench import operators as profile
from arcface_mx.bench.timing import Sample, Timing, compare, rounds, summarise
from arcface_mx.cli import main
from arcface_mx.cli.bench import CHOICES
from arcface_mx.metrics.verification import evaluate
from arcface_mx.planning.cost import forward_operations
from arcface_mx.report import paper
from arcface_mx.symbols import iresnet
from arcface_mx.util.errors import UserError


def contestant(tmp_path, body, name="one", **fields):
    path = tmp_path / (name + ".py")
    path.write_text("ENGINE = 'json'\n" + body)
    return race.Contestant(name, str(path), **fields)


def test_repetitions_are_interleaved_and_the_warm_up_is_left_out():
    calls = []

    def function(name):
        return lambda: calls.append(name) or 1

    timings = compare({"a": function("a"), "b": function("b")}, repetitions=3)
    assert calls == ["a", "b"] * 4
    assert [len(timing.rates) for timing in timings] == [3, 3] and timings[0].ratio == 1.0


def test_ratios_are_medians_of_the_rounds_and_peak_is_the_named_one():
    taken = {
        "base": [Sample(2.0, 4.0, 1), Sample(2.0, 4.0, 1), Sample(8.0, 4.0, 1)],
        "twice": [Sample(1.0, 1.0, 1), Sample(1.0, 1.0, 1), Sample(4.0, 1.0, 1)],
    }
    base, twice = summarise(rounds(taken, lambda samples: samples.pop(0), 2), {"base": 3.0, "twice": 3.0}, peak="twice")
    assert (twice.ratio, twice.cpu_ratio, twice.cpu) == (2.0, 4.0, 1.0)
    assert base.peak_share == pytest.approx(base.gflops / twice.gflops)


def test_contestants_run_in_their_own_process_and_environment(tmp_path):
    body = "import os\ndef setup(items):\n    print('noise')\n    block = bytearray(50 << 20)\n    return lambda: items * int(os.environ['FACTOR'])\n"
    entries = [
        contestant(tmp_path, body, name, arguments={"items": 2}, environment={"FACTOR": factor})
        for name, factor in zip("ab", "15")
    ]
    first, second = race.race(entries, repetitions=2)
    assert len(first.rates) == 2 and 45 < first.peak_mb < 80
    samples = race._Process(entries[1])
    with samples:
        assert samples.sample().items == 10


def test_a_contestant_that_fails_is_named(tmp_path):
    with pytest.raises(UserError, match="broken ended with exit code 1"):
        race.race([contestant(tmp_path, "def setup():\n    raise ValueError('no')\n", "broken")], 1)


def test_work_of_a_network_is_that_of_its_layers():
    symbol = iresnet(mx.sym.Variable("data"), embedding_size=8, width=1 / 16, units=(1,), input_size=16)
    # conv0 3→4 at 16², unit 4→4 at 16² and 8², shortcut 1×1 at 8², 4·8·8 → 8
    products = 16 * 16 * 27 * 4 + 16 * 16 * 36 * 4 + 8 * 8 * 36 * 4 + 8 * 8 * 4 * 4 + 256 * 8
    assert forward_operations(symbol, data=(1, 3, 16, 16)) / 1e9 == pytest.approx(2e-9 * products)


def test_heads_step_on_their_own_gradient():
    for kind in head.HEADS[:2]:
        step = head.setup(kind, samples=4, classes=6, size=8, update=True)
        assert step() == 1


def test_by_thresholds_is_as_accurate_as_the_exact_search():
    embeddings, same = verification.pairs()
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    exact = evaluate(np.sum(unit[0::2] * unit[1::2], axis=1), same).accuracy
    assert verification.by_thresholds(embeddings, same) == pytest.approx(exact, abs=2e-3) and 0.8 < exact < 1.0


def test_every_choice_has_a_measurement():
    assert set(CHOICES) == set(suite.MEASUREMENTS) | {"growth", "profile", "centres"}


def test_profile_shares_are_of_a_step_and_add_up():
    stored = {"Time": {"operator": {"a": {"Count": 4, "Total": 30.0}, "b": {"Count": 2, "Total": 10.0}}}}
    first, second = profile.shares(json.dumps(stored), steps=2)
    assert (first.operator, first.calls, first.milliseconds, first.share, second.share) == ("a", 2, 15.0, 0.75, 0.25)
    assert len(profile.lines([first, second])) == 5


def test_a_step_that_reads_a_face_set_tells_how_long_it_waited(tmp_path):
    network.write_faces(str(tmp_path), side=16, images=24)
    step = network.setup(
        "iresnet18", 0.0625, 16, 8, batch=8, classes=network.PEOPLE, training=True, tuned=True, folder=str(tmp_path)
    )
    for _ in range(4):  # past the end of an epoch
        images, waited = step()
        assert images == 8 and 0 <= waited < 60


def test_waiting_is_a_share_of_the_time_of_those_who_read():
    taken = {"reads": [Sample(2.0, 1.0, 1, 0.5)] * 3, "reads nothing": [Sample(2.0, 1.0, 1)] * 3}
    reads, other = timings = summarise(taken)
    assert (reads.waiting, other.waiting) == (0.25, None)
    header, _, first, second = table.lines(timings, "steps/s")
    assert header.endswith("| input wait |") and first.endswith("| 25 % |") and second.endswith("|  |")


def test_photos_are_embedded_together_or_in_two_passes(tmp_path):
    for together in (True, False):
        assert batch.setup("iresnet18", 0.0625, 16, 8, photos=6, engine="mxnet", batch=4, together=together)() == 6


@pytest.mark.parametrize("tuned", [False, True])
def test_forward_passes_repeat(tuned):
    forward = network.setup("mobilefacenet", 0.125, 32, 8, batch=2, classes=1, training=False, tuned=tuned)
    assert [forward() for _ in range(3)] == [2, 2, 2]


def test_a_report_names_its_commit():
    report = table.report("arcface-mx bench x", {})
    assert report["commit"] is None or len(report["commit"].rstrip("+")) == 40
    assert (report["commit"] or "unknown")[:7] in table.origin(report)[-1]


def test_the_cost_model_of_devices_is_that_of_one_and_what_is_sent(monkeypatch):
    """Times: one device is met exactly, more add only what they send. Memory: D times a device's plan."""
    monkeypatch.setattr(
        growth, "race", lambda entries, repetitions: [Timing("native", [1.0], 100.0, 1.0, 0.003, 1.0, peak_mb=400.0)]
    )
    one, two, four = growth._devices(1)
    assert one.model_milliseconds == pytest.approx(one.cpu_milliseconds) == pytest.approx(3 * 128)
    sent = two.model_milliseconds - one.model_milliseconds
    assert sent > 0 and four.model_milliseconds - one.model_milliseconds == pytest.approx(3 * sent)  # D·(D − 1)/D
    assert 1 < two.model_megabytes / one.model_megabytes < 2


def test_the_cost_model_of_the_head_goes_through_its_largest_point():
    small, large = growth.with_times(
        [growth.Point("classes", "native", n, 9.0, n / 2 + 1, 1.0, float(n), 1.0) for n in (10, 20)]
    )
    assert (small.model_milliseconds, large.model_milliseconds) == (5.5, 11.0)


def test_the_script_runs_every_measurement_and_keeps_its_files(tmp_path):
    """recipes/bench.sh with a command that only writes down how it was called."""
    fake, calls, results = tmp_path / "arcface-mx", tmp_path / "calls", tmp_path / "results"
    results.mkdir()
    fake.write_text(
        f'#!/bin/bash\necho "$@" >> {calls}\nwhile [ $# -gt 0 ]; do case $1 in --json|--png) echo {{}} > "$2" ;; esac; shift; done\necho table\n'
    )
    fake.chmod(0o755)
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "train.rec").write_bytes(b"x")
    settings = {
        "ARCFACE_MX": fake,
        "RESULTS": results,
        "DATA": tmp_path / "faces",
        "MODEL": "m,0",
        "PHOTOS": "p",
        "SET": "s.bin",
        "ANYHOW": 1,
    }
    script = os.path.join(os.path.dirname(paper.default_path()), "bench.sh")
    environment = dict(os.environ, **{name: str(value) for name, value in settings.items()})
    subprocess.run(["bash", script], env=environment, check=True, capture_output=True)
    measured = [line.split()[1] for line in calls.read_text().splitlines() if line.startswith("bench")]
    order = list(dict.fromkeys(measured))
    assert order == [
        "input",
        "head",
        "backbone",
        "step",
        "embed",
        "batch",
        "settings",
        "verify",
        "render",
        "start",
        "profile",
        "growth",
    ]
    assert set(order) | {"centres"} == set(CHOICES)
    names = {path.name for path in results.iterdir()}
    assert {
        "bench_head_10572.md",
        "bench_head_10572.json",
        "bench_backbone_iresnet50.json",
        "bench_growth.png",
        "bench_int8.md",
    } <= names
    assert {f"bench_int8_{engine}.json" for engine in ("mxnet", "onnx", "int8")} <= names


def test_growth_draws_what_it_measured(tmp_path):
    points = [
        growth.Point("classes", line, n, n / 10, n / 10, n, 6e-9 * n, n / 2) for n in (10, 20) for line in growth.HEADS
    ]
    points.append(growth.Point("devices", "native", 1, 5.0, 5.0, 7.0, None, None))
    path = tmp_path / "growth.png"
    growth.draw(points, str(path))
    assert path.read_bytes().startswith(b"\x89PNG") and len(growth.lines(points)) == 2 + len(points)


def test_input_bench_and_its_report(tiny_faces, tmp_path, capsys):
    out = str(tmp_path / "input.json")
    assert (
        main(
            [
                "bench",
                "input",
                "--data",
                tiny_faces,
                "--images",
                "16",
                "--batch-size",
                "8",
                "--repetitions",
                "1",
                "--json",
                out,
            ]
        )
        == 0
    )
    with open(out, encoding="utf-8") as stream:
        written = json.load(stream)
    names = [timing["name"] for timing in written["timings"]]
    assert names[1:] == ["arcface-mx", "arcface-mx --reader opencv"] and written["machine"]["mxnet"] == "1.9.1"
    assert written["command"].startswith("arcface-mx bench input --data faces --images 16")
    assert "| arcface-mx --reader opencv |" in capsys.readouterr().out


def test_mistakes_are_named():
    for words, message in ((["input"], "--data"), (["head", "--classes", "0"], "--classes 0")):
        with pytest.raises(UserError, match=message):
            suite.measure(words[0], suite.Options(classes=0) if "head" in words else suite.Options())


def test_table_has_a_row_each():
    timings = compare({"a": lambda: 1, "b": lambda: 1}, repetitions=1)
    assert len(table.lines(timings, "steps/s")) == 4
    assert sys.platform in table.machine()["system"]


def test_centres_bench(tmp_path, capsys):
    out = str(tmp_path / "centres.json")
    flags = [
        "--class-counts",
        "60",
        "--contexts",
        "1,2",
        "--embedding-size",
        "16",
        "--batch-size",
        "4",
        "--repetitions",
        "1",
        "--steps",
        "1",
    ]
    assert main(["bench", "centres", *flags, "--json", out]) == 0
    with open(out, encoding="utf-8") as stream:
        one, two = json.load(stream)
    assert (one["devices"], two["devices"]) == (1, 2) and one["loss"] > 0 and abs(one["loss"] - two["loss"]) < 1e-3
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["60", "1"]


def test_mistakes_on_the_command_line(capsys):
    assert main(["bench", "input"]) == 2
    assert main(["bench", "centres", "--class-counts", "many"]) == 2
    assert capsys.readouterr().err.count("\n") == 2
