"""A graph of unknown origin is tried once in another process, whose end is one line of this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.export.convert import import_model
from arcface_mx.model import onnx_file, trial
from arcface_mx.model.load import load_model
from arcface_mx.model.save import save_model
from arcface_mx.util.errors import UserError
from tests.support import nets, onnx_files

SIZE = (32, 32)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCFACE_MX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def answered_by(script, tmp_path, monkeypatch):
    """Let a shell script take the place of the process that tries graphs."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def stranger(tmp_path, symbol=None):
    """Save a model as another program would, and return its name."""
    symbol = symbol or nets.embedding(SIZE)
    prefix = str(tmp_path / "model")
    mx.model.save_checkpoint(prefix, 0, symbol, *nets.parameters(symbol, SIZE))
    return prefix + ",0"


@pytest.mark.parametrize(
    "script, message",
    [
        ("kill -SEGV $$", "model-symbol.json: MXNet crashes with this graph .SIGSEGV.; it is damaged or was made"),
        ("kill -FPE $$", "MXNet crashes with this graph .SIGFPE."),
        ("kill -XCPU $$", "MXNet takes too much time or memory"),
        ("exec sleep 60", "MXNet has not come to an end with this graph after 0.2 s"),
        ("echo 'ImportError: no x' >&2; exit 1", "could not be tried in another process: ImportError: no x"),
        ("""echo '{"reason": "x-symbol.json: is bad"}'""", "^x-symbol.json: is bad$"),
    ],
)
def test_the_end_of_the_other_process_is_one_line(script, message, tmp_path, monkeypatch, cache):
    answered_by(script, tmp_path, monkeypatch)
    if "sleep" in script:
        monkeypatch.setattr(trial, "MAX_SECONDS", 0.2)
    spec = stranger(tmp_path)
    for _ in range(2):  # a refusal is not remembered as a success
        with pytest.raises(UserError, match=message) as caught:
            load_model(spec)
        assert "\n" not in str(caught.value)


def test_a_graph_is_tried_once(tmp_path, monkeypatch):
    answered_by(f"""echo x >> {tmp_path}/calls; echo '{{"reason": ""}}'""", tmp_path, monkeypatch)
    spec = stranger(tmp_path)
    for _ in range(3):
        load_model(spec)
    assert (tmp_path / "calls").read_text() == "x\n"
    graph = json.loads((tmp_path / "model-symbol.json").read_text())
    next(node for node in graph["nodes"] if node["op"] == "BatchNorm")["attrs"]["eps"] = "0.5"
    (tmp_path / "model-symbol.json").write_text(json.dumps(graph))
    load_model(spec)
    assert (tmp_path / "calls").read_text() == "x\nx\n"  # it is another graph now


def test_a_note_that_others_could_have_written_does_not_count(tmp_path, monkeypatch, cache):
    answered_by(f"""echo x >> {tmp_path}/calls; echo '{{"reason": ""}}'""", tmp_path, monkeypatch)
    spec = stranger(tmp_path)
    load_model(spec)
    os.chmod(str(cache / "graphs"), 0o777)
    load_model(spec)
    assert (tmp_path / "calls").read_text() == "x\nx\n"


def test_a_graph_of_this_project_is_not_tried(tmp_path, monkeypatch):
    answered_by("exit 1", tmp_path, monkeypatch)
    symbol = nets.embedding(SIZE)
    save_model(symbol, *nets.parameters(symbol, SIZE), str(tmp_path))
    assert load_model(str(tmp_path)).embedding_size == 8


@pytest.mark.parametrize(
    "script, message",
    [
        ("kill -SEGV $$", "ONNX Runtime crashes with this graph .SIGSEGV."),
        ("kill -KILL $$", "ONNX Runtime takes too much time or memory"),
        ("""echo '{"reason": "x.onnx: is bad"}'""", "^x.onnx: is bad$"),
    ],
)
def test_an_onnx_file_of_others_that_ends_the_other_process_is_one_line(script, message, tmp_path, monkeypatch):
    answered_by(script, tmp_path, monkeypatch)
    path = onnx_files.save(tmp_path / "x.onnx", onnx_files.model(*onnx_files.projection()), tried=False)
    for use in (load_model, lambda path: import_model(path, str(tmp_path / "made"), "rgb,127.5,127.5")):
        with pytest.raises(UserError, match=message) as caught:
            use(path)
        assert "\n" not in str(caught.value)
    assert not os.path.exists(str(tmp_path / "made-symbol.json"))


def test_an_onnx_file_of_others_is_tried_once_and_a_sealed_one_never(tmp_path, monkeypatch):
    answered_by(f"""echo x >> {tmp_path}/calls; echo '{{"reason": ""}}'""", tmp_path, monkeypatch)
    proto = onnx_files.model(*onnx_files.projection())
    path = onnx_files.save(tmp_path / "x.onnx", proto, tried=False)
    sealed = onnx_files.save(tmp_path / "y.onnx", onnx_file.seal(proto.SerializeToString()), tried=False)
    for _ in range(2):
        load_model(path)
        load_model(sealed)
    assert (tmp_path / "calls").read_text() == "x\n"
    onnx_files.save(path, onnx_files.model(*onnx_files.projection(seed=1)), tried=False)
    load_model(path)
    assert (tmp_path / "calls").read_text() == "x\nx\n"


@pytest.mark.slow
def test_the_other_process_runs_an_onnx_file_and_limits_its_memory(tmp_path, cache):
    nodes, arrays = onnx_files.projection()
    assert load_model(onnx_files.save(tmp_path / "x.onnx", onnx_files.model(nodes, arrays), tried=False))
    assert len(os.listdir(str(cache / "graphs"))) == 1
    # 64 GB of zeros, of which nothing can be seen in the file.
    arrays["shape"] = np.asarray([1 << 17, 1 << 17], np.int64)
    huge = [onnx_files.node("ConstantOfShape", ["shape"], ["huge"]), onnx_files.node("ReduceMax", ["huge"], ["zero"])]
    bomb = [nodes[0], onnx_files.node("MatMul", ["flat", "weight"], ["small"]), *huge]
    bomb.append(onnx_files.node("Add", ["small", "zero"], ["out"]))
    path = onnx_files.save(tmp_path / "bomb.onnx", onnx_files.model(bomb, arrays), tried=False)
    with pytest.raises(UserError, match="bomb.onnx: .*(memory|alloc)") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_other_process_loads_and_runs_the_graph(tmp_path, monkeypatch, cache):
    load_model(stranger(tmp_path))
    assert len(os.listdir(str(cache / "graphs"))) == 1
    data = mx.sym.Variable("data", attr={"arcface_input_size": "32,32"})
    # Its shapes fit, and it fails when it runs: the indices of `take` may not be out of range.
    picked = mx.sym.take(mx.sym.Variable("table"), mx.sym.mean(data, axis=(2, 3)) * 1000, mode="raise")
    symbol = mx.sym.FullyConnected(picked, num_hidden=4, name="fc1")
    prefix = str(tmp_path / "model")
    arguments = {"table": mx.nd.ones((5, 2)), "fc1_weight": mx.nd.ones((4, 6)), "fc1_bias": mx.nd.ones(4)}
    mx.model.save_checkpoint(prefix, 0, symbol, arguments, {})
    with pytest.raises(UserError, match="model-symbol.json: .*take") as caught:
        load_model(prefix + ",0")
    assert "\n" not in str(caught.value)


def test_the_limits_hold_in_the_other_process():
    code = (
        "from arcface_mx.model import trial_child\n"
        "trial_child.MAX_BYTES, trial_child.PROCESSOR_SECONDS = 1 << 26, 1\n"
        "trial_child.set_limits()\n"
        "try:\n    bytearray(1 << 27)\nexcept MemoryError:\n    print('no memory', flush=True)\n"
        "while True: pass\n"
    )
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert ended.stdout == "no memory\n" and ended.returncode in (-24, -9)  # SIGXCPU, SIGKILL
