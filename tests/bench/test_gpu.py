"""`bench gpu` hands each case its settings and variables, and turns a failure into a row."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest

from arcface_mx.bench import gpu, gpu_case
from arcface_mx.cli import main
from arcface_mx.train import loop
from arcface_mx.util.errors import UserError
from tests.support.training import TINY

# A child that answers with what it was given. It fails if the batch is larger than 16, and hangs on float16.
CHILD = """
import json, os, sys, time
settings = json.loads(sys.argv[1])
if settings["config"].get("dtype") == "float16": time.sleep(60)
if settings["config"]["batch_size"] > 16 and "," not in settings["config"]["devices"]: sys.exit("CUDA: out of memory")
names = ("MXNET_CUDNN_AUTOTUNE_DEFAULT", "NVIDIA_TF32_OVERRIDE")
settings["variables"] = {name: os.environ.get(name) for name in names}
print("a line of MXNet")
print(json.dumps({"rates": [10.0, 30.0, 20.0], "given": settings, "planned_bytes": 5_000_000}))
"""


@pytest.fixture
def results(monkeypatch):
    """Rows of the stand-in child on three devices, by name."""
    monkeypatch.setattr(gpu, "CHILD", [sys.executable, "-c", CHILD])
    monkeypatch.setattr(gpu, "_modelled", lambda *arguments: 25.0)
    for name in ("MXNET_CUDNN_AUTOTUNE_DEFAULT", "NVIDIA_TF32_OVERRIDE"):
        monkeypatch.delenv(name, raising=False)

    def measure(**settings):
        said = []
        written = gpu.measure_gpus("cpu(0),cpu(1),cpu(2)", "recipe", 8, 64, 4, card="v100", say=said.append, **settings)
        assert len(said) == len(written["rows"])
        return written

    return measure


@pytest.mark.slow
def test_each_case_reaches_its_child_and_a_failure_is_a_row(results):
    written = results(timeout=5)
    rows = {row["name"]: row for row in written["rows"]}
    variables = {name: row["given"]["variables"] for name, row in rows.items() if "given" in row}
    assert [variables[f"cuDNN autotune {n}"]["MXNET_CUDNN_AUTOTUNE_DEFAULT"] for n in "012"] == ["0", "1", "2"]
    assert variables["float32 without TF32"]["NVIDIA_TF32_OVERRIDE"] == "0"
    assert set(variables["defaults"].values()) == {None}
    assert rows["PReLU of MXNet"]["given"]["fast_prelu"] is False
    assert rows["without checks of loss and gradient"]["given"]["guard"] is False
    assert rows["deterministic"]["given"]["config"]["deterministic"] is True
    assert rows["the reader alone"]["given"]["what"] == "reader"
    split = rows["3 devices, class centres split"]["given"]["config"]
    assert (split["devices"], split["batch_size"], split["parallel"]) == ("cpu(0),cpu(1),cpu(2)", 24, "centres")
    assert "2 devices" in rows and "defaults, again" in rows
    assert rows["float16"]["failed"] == "no result within 5 s"
    # The ladder ends with the first batch that fails: 16 fits, 32 fails, 64 is not tried.
    assert "given" in rows["16 images a device"] and rows["32 images a device"]["failed"] == "CUDA: out of memory"
    assert "64 images a device" not in rows
    json.dumps(written)
    table = gpu.gpu_table(written)
    assert re.search(r"\| defaults +\| +20 \| +10 to 30 \| +1.00 \| +25 \| +5 \|", table) and "DLPerf" in table
    assert "used MB" not in table  # a column without values


def test_only_some_cases_run_beside_the_baseline(results):
    names = [row["name"] for row in results(only="PReLU")["rows"]]
    assert names == ["defaults", "PReLU of MXNet", "PReLU as convolutions"]


def test_the_model_counts_the_images_of_all_devices(tmp_path):
    faces = gpu.make_faces(str(tmp_path / "faces"), 6, 32)
    config = dict(TINY, data=faces, run="", devices="gpu(0)", batch_size=8)
    one, two = (
        gpu._modelled({}, config, gpu.GpuCase("", {"devices": devices, "batch_size": size}), "v100")
        for devices, size in (("gpu(0)", 8), ("gpu(0),gpu(1)", 16))
    )
    assert 0 < one and two < 2 * one  # what is sent takes time
    assert gpu._modelled({}, config, gpu.GpuCase("", what="reader"), "v100") is None


@pytest.mark.parametrize(
    "name, card",
    [("Tesla V100-SXM2-16GB", "v100"), ("NVIDIA L4", "l4"), ("NVIDIA A100-SXM4-40GB", "a100"), ("Other", "")],
)
def test_a_card_is_known_by_the_name_of_the_driver(monkeypatch, name, card):
    monkeypatch.setattr(gpu, "_cards", lambda: [(name, "8.0")])
    assert gpu.card_of_machine() == card


def case_config(tmp_path, faces, **values):
    return dict(TINY, data=faces, run=str(tmp_path / "run"), batch_size=4, **values)


def test_a_case_measures_steps_and_writes_nothing(tmp_path, tiny_faces, monkeypatch):
    monkeypatch.setattr(gpu_case, "WARM_UP", 1)
    result = gpu_case.measure_steps(case_config(tmp_path, tiny_faces), steps=1, repetitions=2, reading=True)
    assert len(result["rates"]) == 2 and min(result["rates"]) > 0
    assert result["planned_bytes"] > 0 and result["used_bytes"] is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fast", [True, False])
def test_the_form_of_prelu_reaches_the_graph(tmp_path, tiny_faces, monkeypatch, fast):
    monkeypatch.setattr(gpu_case, "WARM_UP", 1)
    bound = []
    build = gpu_case.with_prelu
    monkeypatch.setattr(gpu_case, "with_prelu", lambda *a: bound.append(build(*a)) or bound[-1])
    gpu_case.measure_steps(case_config(tmp_path, tiny_faces), steps=1, repetitions=1, fast_prelu=fast)
    assert ("prelu" in {node["attrs"].get("act_type") for node in nodes(bound[0].graph.symbol)}) != fast


def nodes(symbol):
    return [{"attrs": {}, **node} for node in json.loads(symbol.tojson())["nodes"]]


def test_without_the_guard_a_loss_that_is_not_finite_passes(tmp_path, tiny_faces, monkeypatch):
    monkeypatch.setattr(gpu_case, "WARM_UP", 1)
    monkeypatch.setattr(loop, "Guard", loop.Guard)  # restored after the test
    config = case_config(tmp_path, tiny_faces, lr=1e3, weight_decay=1.0)
    monkeypatch.setattr(loop.Guard, "check_finite", lambda self, losses, *rest: fail(losses))
    with pytest.raises(UserError, match="checked"):
        gpu_case.measure_steps(config, steps=1, repetitions=1)
    assert len(gpu_case.measure_steps(config, steps=1, repetitions=1, guard=False)["rates"]) == 1


def fail(losses):
    raise UserError(f"checked {np.shape(losses)}")


@pytest.mark.slow
def test_the_command_runs_on_cpu_contexts_and_writes_its_file(tmp_path, capsys):
    file = str(tmp_path / "gpu.json")
    flags = "--devices cpu --network recipe --classes 8 --batch-size 2 --largest-batch-size 2 --steps 1 --repetitions 1"
    assert main(["bench", "gpu", *flags.split(), "--only", "float16", "--card", "t4", "--json", file]) == 0
    with open(file, encoding="utf-8") as stream:
        written = json.load(stream)
    baseline, half = written["rows"]
    assert len(baseline["rates"]) == 1 and baseline["model"] > 0
    assert half["failed"].startswith("`dtype` float16 needs GPUs")
    assert written["settings"]["card"] == "t4" and written["machine"]["mxnet"] == "1.9.1"
    out = capsys.readouterr()
    assert "| defaults " in out.out and "float16: failed" in out.err


@pytest.mark.parametrize("flags", [["--steps", "0"], ["--batch-size", "0"], ["--devices", "gpu(x)"]])
def test_mistakes_are_one_line(flags, capsys):
    assert main(["bench", "gpu", *flags]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and flags[0] in error
