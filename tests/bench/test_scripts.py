"""recipes/bench.sh calls every benchmark; the scripts in recipes/bench/ run on tiny inputs."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile

import pytest

from arcface_mx.util.errors import UserError
from tests.bench.scripts import compare, timing

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECIPES = os.path.join(ROOT, "recipes")


def test_the_script_runs_every_benchmark_and_keeps_its_files(tmp_path):
    """With a command that only writes down how it was called."""
    command, calls, results = tmp_path / "arcface-mx", tmp_path / "calls", tmp_path / "results"
    results.mkdir()
    command.write_text(
        f'#!/bin/bash\necho "$@" >> {calls}\n'
        'while [ $# -gt 0 ]; do case $1 in --json) echo {} > "$2" ;; esac; shift; done\necho table\n'
    )
    command.chmod(0o755)
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "train.rec").write_bytes(b"x")
    settings = {
        "ARCFACE_MX": command,
        "COMPARE": f"{command} compare",
        "RESULTS": results,
        "DATA": tmp_path / "faces",
        "ANYHOW": 1,
    }
    settings.update(MODEL="m,0", PHOTOS="p", SET="s.bin")
    environment = dict(os.environ, **{name: str(value) for name, value in settings.items()})
    subprocess.run(["bash", os.path.join(RECIPES, "bench.sh")], env=environment, check=True, capture_output=True)
    measured = [line.split()[1] for line in calls.read_text().splitlines() if line.startswith("compare")]
    assert tuple(dict.fromkeys(measured)) == tuple(compare.BENCHMARKS)
    names = {path.name for path in results.iterdir()}
    assert {"bench_head_10572.md", "bench_head_10572.json", "bench_step_iresnet50.json", "bench_int8.md"} <= names
    assert {f"bench_int8_{engine}.json" for engine in ("mxnet", "onnx", "int8")} <= names


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(os.path.join(RECIPES, "bench"))


@pytest.mark.slow
def test_centres_measures_the_classifier_split_by_class(scripts, tmp_path, capsys):
    import centres

    out = str(tmp_path / "centres.json")
    flags = ["--classes", "60", "--contexts", "1,2", "--embedding-size", "16", "--batch-size", "4"]
    centres.main([*flags, "--repetitions", "1", "--json", out])
    with open(out, encoding="utf-8") as stream:
        one, two = json.load(stream)
    assert (one["contexts"], two["contexts"]) == (1, 2) and one["planned_mb"] > 0
    assert capsys.readouterr().out.splitlines()[2].split()[1:4] == ["60", "|", "1"]


def run_cases_here(cases, repetitions):
    """As `run_cases`, without processes. The n-th case takes n seconds."""
    samples = {}
    for seconds, case in enumerate(cases, 1):
        try:
            samples[case.name] = [timing.Sample(seconds, seconds, case.setup(**case.arguments)())] * repetitions
        except ImportError:
            continue
    return timing.summarise(samples, {}, {}), ["no faiss"]


def test_search_measures_a_gallery_and_finds_its_rows(scripts, tmp_path, monkeypatch):
    import search

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(search, "run_cases", run_cases_here)
    out = str(tmp_path / "search.json")
    search.main(["--entries", "500", "--dimensions", "16", "--queries", "3", "--repetitions", "1", "--json", out])
    with open(out, encoding="utf-8") as stream:
        document = json.load(stream)
    exact = document["exact"]
    assert exact["float32"]["equal_rows"] == 1.0
    assert exact["float32"]["largest_difference"] < 1e-6 < exact["float16"]["largest_difference"]
    ratios = {result["name"]: result["time_ratio"] for result in document["results"]}
    assert [ratios[name] for name in (*search.PRODUCTS, "search, float32", "search, float16")] == [1, 2, 3, 4]
    assert document["command"].startswith("python recipes/bench/search.py --entries 500")
    assert os.listdir(tmp_path) == ["search.json"]


def test_operators_adds_up_to_a_step(scripts):
    import operators

    profile = {"a": {"Count": 4, "Total": 30.0}, "b": {"Count": 2, "Total": 9.99}, "c": {"Count": 2, "Total": 0.01}}
    rows = operators.rows(json.dumps({"Time": {"operator": profile}}), steps=2)
    assert rows[1:] == [["a", "2", "15.00", "75.0 %"], ["b", "1", "5.00", "25.0 %"], ["others", "", "", "0.0 %"]]


def test_threads_compares_within_a_round(scripts):
    import threads as script

    names = [f"{load}: {number}" for load in ("idle", "busy") for number in ("auto", "one", "all")]
    rounds = [
        {name: script.Measurement(rate * speed, 1) for name, rate in zip(names, (400, 250, 400, 95, 100, 50))}
        for speed in (1.0, 0.1, 1.0)
    ]
    assert script.ratios(rounds) == pytest.approx(dict(zip(script.GOALS, (0.95, 0.38, 1.0))))


def test_threads_runs_all_cases_and_writes_its_ratios(scripts, tiny_faces, tmp_path, capsys, monkeypatch):
    import threads as script

    monkeypatch.setattr(script, "train", lambda data, threads, steps, log_every: script.Measurement(steps, 1))
    out = str(tmp_path / "threads.json")
    script.main(["--data", tiny_faces, "--steps", "2", "--rounds", "1", "--json", out])
    with open(out, encoding="utf-8") as stream:
        written = json.load(stream)
    assert written["ratios"] == dict.fromkeys(script.GOALS, 1.0) and len(written["rounds"]) == 1
    assert "busy: auto" in capsys.readouterr().out


def test_folder_compares_the_whole_with_its_parts(scripts):
    """Three images take 1 s to read, 2 s or 3 s to embed, and 4 s to write; the whole takes 5 s, 6 s or 7 s."""
    import folder

    names = [case.name for case in folder.cases("images", "recipe", False, "out")]
    samples = {name: [timing.Sample(seconds, seconds, 3)] for seconds, name in enumerate(names, 1)}
    timings = timing.summarise(samples, {}, {})
    for chosen, seconds in (("mxnet", 7), ("onnx", 8)):
        ratios = folder.ratios(timings, chosen)
        assert ratios["folder, mxnet"] == pytest.approx({"of_sum": 7 / 5, "of_best": 1})
        assert ratios["folder, onnx"] == pytest.approx({"of_sum": 8 / 6, "of_best": 5 / 6})
        assert ratios["folder, auto"] == pytest.approx({"of_sum": seconds / 7, "of_best": 5 / 7})


@pytest.mark.slow
def test_folder_embeds_and_leaves_only_what_it_says(scripts, tmp_path):
    import folder

    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    out.mkdir()
    folder.make_images(str(images), 3)
    shape = {"images": str(images), "network": "recipe", "align": False}
    assert folder.whole(engine="mxnet", folder=str(out), **shape)() == 3
    assert (out / folder.CHOICE).read_text() == "mxnet" and os.listdir(out) == [folder.CHOICE]
    assert folder.reading(**shape)() == folder.embedding(engine="mxnet", **shape)() == 3
    assert folder.writing(folder=str(out), **shape)() == 3


@pytest.mark.slow
def test_growth_goes_on_with_the_points_that_its_file_lacks(scripts, tmp_path, monkeypatch, capsys):
    import growth

    measured = []

    def measure(point, repetitions):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(tuple(point.values()))
        return {**point, "ms": [1.0, 2.0, 4.0], "cpu_ms": 1.0, "mb": 3.0, "planned_mb": 4.0}

    monkeypatch.setattr(growth, "measure", measure)
    monkeypatch.setattr(growth, "machine_rates", lambda repetitions: {"operations": 1e12, "bytes_of_memory": 1e10})
    row = {"mode": "centres", "classes": 10, "devices": 8, "images_per_second": 5.0, "gigabytes": 1.0}
    monkeypatch.setattr(growth, "scaling", lambda workload, machine: [row])
    out, picture = str(tmp_path / "growth.json"), tmp_path / "growth.png"
    flags = ["--classes", "50,100", "--batch-sizes", "64,128", "--contexts", "1,2", "--middle", "100"]
    flags += ["--json", out, "--plot", str(picture)]
    with pytest.raises(KeyboardInterrupt):
        growth.main(flags)
    measured[:], first = [], measured[:]
    growth.main(flags)
    assert first + measured == [(50, 128, 1), (100, 128, 1), (100, 64, 1), (100, 128, 2)]
    with open(out, encoding="utf-8") as stream:
        document = json.load(stream)
    assert [point["classes"] for point in growth.along(document, "classes", 100)] == [50, 100]
    assert [point["contexts"] for point in growth.along(document, "contexts", 100)] == [1, 2]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.splitlines()[2].split(" | ")[3:5] == ["        2", "       0"]
    document["machine"]["cores"] = 1000
    with open(out, "w", encoding="utf-8") as stream:
        json.dump(document, stream)
    with pytest.raises(UserError, match="growth.json: was measured with cores 1000"):
        growth.main(flags)


def test_the_time_of_the_model_follows_operations_and_traffic(scripts):
    import growth

    point = {"classes": 1000, "batch_size": 128, "contexts": 1}
    slow_product = {"operations": 1e9, "bytes_of_memory": 1e15}
    assert growth.model_seconds(point, slow_product, 2) == pytest.approx(6 * 128 * 1000 * 512 / 1e9)
    slow_memory = {"operations": 1e15, "bytes_of_memory": 1e9}
    assert growth.model_seconds(point, slow_memory, 2) == pytest.approx(15 * 4 * 1000 * 512 / 1e9)
    assert growth.model_seconds(dict(point, contexts=4), slow_memory, 2) == pytest.approx(15 * 4 * 1000 * 512 / 2e9)


def test_the_compiler_of_isa_compiles_for_another_processor(scripts, monkeypatch):
    import isa

    monkeypatch.setenv("CXX", "echo")
    with isa.haswell_compiler() as compiler:
        shown = subprocess.run([compiler, "-O3", "-march=native", "a b"], stdout=subprocess.PIPE, text=True).stdout
        version = subprocess.run([compiler, "--version"], stdout=subprocess.PIPE, text=True).stdout
    assert shown == "-O3 -march=haswell a b\n" and version.startswith("for Haswell\n")
