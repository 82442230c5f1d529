"""`arcface-mx bench` gives its three answers; the comparisons of recipes/bench/ run and report what they measured."""

from __future__ import annotations

import json
import subprocess
import sys

import mxnet as mx
import pytest

from arcface_mx.bench import machine
from arcface_mx.bench.networks import NETWORKS, Network
from arcface_mx.bench.results import origin, report
from arcface_mx.cli import main
from arcface_mx.cli.bench import NETWORK_NAMES
from arcface_mx.planning.cost import forward_operations
from arcface_mx.symbols import iresnet
from arcface_mx.util.errors import UserError
from tests.bench.scripts import cases, compare, embed, head, reader, step, timing, verify
from tests.support.bench_cases import setup_that_dies, setup_that_fails, setup_that_writes

TINY = Network("iresnet18", 0.0625, 32, 8, 4)


@pytest.mark.slow
def test_cases_run_in_turn_in_processes_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr("cases.SHORT", 0.0)
    path = str(tmp_path / "calls")
    three = [
        cases.Case("a", setup_that_writes, {"path": path, "name": "a"}),
        cases.Case("broken", setup_that_fails),
        cases.Case("b", setup_that_writes, {"path": path, "name": "b", "megabytes": 50}),
    ]
    timings, failures = cases.run_cases(three, repetitions=2)
    with open(path) as stream:
        assert stream.read() == "ab" * 3  # the first time is the warm-up
    assert [one.name for one in timings] == ["a", "b"] and failures == ["broken: ValueError: no engine"]
    assert [len(one.rates) for one in timings] == [2, 2] and timings[0].ratio == 1.0
    assert 45 < timings[1].peak_mb - timings[0].peak_mb < 80


@pytest.mark.slow
def test_a_baseline_that_cannot_start_is_an_error():
    with pytest.raises(UserError, match="broken: ValueError: no engine"):
        cases.run_cases([cases.Case("broken", setup_that_fails), cases.Case("b", setup_that_dies)], 1)


@pytest.mark.slow
def test_a_case_that_dies_is_named():
    with pytest.raises(UserError, match="mortal: BrokenProcessPool"):
        cases.run_cases([cases.Case("mortal", setup_that_dies)], 1)


def test_ratios_are_medians_of_the_rounds_and_the_peak_is_that_of_its_case():
    samples = {
        "base": [timing.Sample(2.0, 4.0, 1), timing.Sample(8.0, 4.0, 1)],
        "twice": [timing.Sample(1.0, 1.0, 1), timing.Sample(4.0, 1.0, 1)],
    }
    base, twice = timing.summarise(samples, {"base": 3.0, "twice": 3.0}, {}, peak="twice")
    assert (twice.ratio, twice.cpu_ratio, twice.cpu) == (2.0, 4.0, 1.0)
    assert base.peak_share == pytest.approx(base.gflops / twice.gflops)


def test_waiting_is_a_share_of_the_time_of_cases_that_read():
    samples = {"reads": [timing.Sample(2.0, 1.0, 1, 0.5)] * 3, "reads nothing": [timing.Sample(2.0, 1.0, 1)] * 3}
    reads, other = timings = timing.summarise(samples, {}, {})
    assert (reads.waiting, other.waiting) == (0.25, None)
    header, _, first, second = timing.table(timings, "steps/s").splitlines()
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
    written = report("arcface-mx bench x", {"data": str(tmp_path / "faces"), "images": 0, "batch_size": 8})
    assert written["command"] == "arcface-mx bench x --data faces --batch-size 8"
    assert written["commit"] is None or len(written["commit"].rstrip("+")) == 40
    assert (written["commit"] or "unknown")[:7] in origin(written) and sys.platform in written["machine"]["system"]


def test_the_command_knows_every_network():
    assert tuple(NETWORKS) == NETWORK_NAMES


@pytest.mark.slow
def test_input_is_compared_and_reported(tiny_faces, tmp_path, capsys):
    out = str(tmp_path / "input.json")
    flags = ["--data", tiny_faces, "--images", "16", "--batch-size", "8", "--repetitions", "1", "--json", out]
    compare.main(["input", *flags])
    with open(out, encoding="utf-8") as stream:
        written = json.load(stream)
    assert [timing["name"] for timing in written["timings"]][1:] == ["arcface-mx"]
    assert written["machine"]["mxnet"] == "1.9.1" and written["unit"] == "images/s"
    assert written["command"].startswith("python recipes/bench/compare.py input --data faces --images 16")
    assert "| arcface-mx " in capsys.readouterr().out


def test_mistakes_name_the_argument():
    for name, settings, message in (
        ("input", {"data": ""}, "`data` is missing"),
        ("head", {"classes": 0, "embedding_size": 8}, "`classes` must be at least 1, got 0"),
        ("step", {"network": "recipe", "data": "x", "batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ("verify", {}, "`repetitions` must be at least 1, got 0"),
    ):
        with pytest.raises(UserError, match=message):
            compare.measure(name, settings, repetitions=0 if name == "verify" else 1)


def test_mistakes_of_a_comparison_are_one_line(capsys):
    for words in (["input"], ["head", "--classes", "0"]):
        with pytest.raises(SystemExit):
            compare.main(words)
    errors = capsys.readouterr().err
    assert "error: --data is missing" in errors and "error: --classes must be" in errors


def test_mistakes_on_the_command_line(capsys):
    assert main(["bench", "--batch-size", "0"]) == 2
    assert main(["bench", "gpu", "--classes", "0"]) == 2
    assert main(["bench", "--data", "/nowhere"]) == 2
    errors = capsys.readouterr().err.replace("measuring: threads\n", "")
    assert errors.count("\n") == 3 and "--batch-size must be" in errors and "--classes must be" in errors


def test_the_largest_part_is_the_bottleneck_and_missing_engines_are_named():
    parts = {"network": 0.2, "head": 0.5, "update": 0.1, machine.WAITING: 0.15, machine.OTHERS: 0.05}
    training = {"images_per_second": 100.0, "reader_images_per_second": 900.0, "parts": parts, "images": 6000}
    results = {
        "threads": "1 of 2, because other processes use this machine (a step takes 1 s with 1, 3 s with 2)",
        "settings": {"batch_size": 128},
        "training": training,
        "embedding": {"mxnet": {"images_per_second": 50.0}, "onnx": {"failure": "no onnx"}},
    }
    first, second, third = machine.answers(results).splitlines()
    assert first == (
        "Training: 100 images/s with 1 of 2 threads; an epoch of 6000 images takes 60 s, and 1,000 steps of 128 images "
        "take 21 min."
    )
    assert second == "Embedding: 50 images/s with MXNet. Not measured: no onnx."
    assert third.startswith("Bottleneck of training: the head;") and "head 50 %" in third and "900 images/s" in third
    parts.update({machine.WAITING: 0.9})
    assert "Bottleneck of training: the reader; more `decode_threads`" in machine.answers(results)


WITHOUT = """
import sys
class Missing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("onnx", "onnxruntime", "torch"):
            raise ModuleNotFoundError("No module named " + name)
sys.meta_path.insert(0, Missing)
from arcface_mx.bench import machine, networks
networks.NETWORKS["recipe"] = networks.Network("iresnet18", 0.0625, 32, 8, 4)
machine.SECONDS = 0.0
from arcface_mx.cli import main
sys.exit(main(["bench", "--classes", "9", "--out", sys.argv[1]]))
"""


@pytest.mark.slow
def test_bench_answers_without_any_other_framework(tmp_path):
    out = str(tmp_path / "speed.json")
    done = subprocess.run([sys.executable, "-c", WITHOUT, out], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    training, embedding, bottleneck = done.stdout.splitlines()
    assert training.startswith("Training: ") and bottleneck.startswith("Bottleneck of training: the ")
    assert "images/s with MXNet" in embedding and "pip install 'arcface-mx[export]'" in embedding
    with open(out, encoding="utf-8") as stream:
        written = json.load(stream)
    assert sum(written["training"]["parts"].values()) == pytest.approx(1.0) and written["training"]["images"] == 9
    assert written["embedding"]["mxnet"]["images_per_second"] > 0 and "failure" in written["embedding"]["onnx"]
