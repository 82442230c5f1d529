"""The engine "auto" is the faster one, is recorded, and never changes embeddings."""

from __future__ import annotations

import json
import logging
import os
import sys

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.faces.embed import FaceOptions, embed_to_file, read_embeddings
from arcface_mx.faces.store import write_fields
from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.model import auto_engine
from arcface_mx.model.embedder import Embedder
from arcface_mx.model.engines import onnx_engine
from arcface_mx.model.load import load_model
from arcface_mx.util.errors import UserError
from tests.conftest import tiny_image
from tests.support import nets

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
SIZE = (32, 32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    symbol = nets.embedding(SIZE)
    return nets.save(tmp_path_factory.mktemp("auto"), symbol, *nets.parameters(symbol, SIZE)) + ",0"


@pytest.fixture
def take_turns(monkeypatch):
    """Let the turns of the engines take stated seconds instead of being measured."""

    def set_seconds(**seconds):
        turns = {name: iter(values) for name, values in seconds.items()}
        monkeypatch.setattr(auto_engine, "_seconds", lambda engine, pixels: next(turns[engine.kind]))

    return set_seconds


@pytest.mark.parametrize("mxnet, onnx, expected", [((3, 3, 1), (2, 2, 2), "mxnet"), ((3, 2, 2), (9, 9, 1), "onnx")])
def test_the_engine_with_the_fastest_batch_is_taken_and_said(model, take_turns, caplog, mxnet, onnx, expected):
    take_turns(mxnet=mxnet, onnx=onnx)
    embedder, images = load_model(model, engine="auto"), nets.images(5, SIZE)
    with caplog.at_level(logging.INFO, "arcface_mx"):
        embeddings = embedder.embed(images)
    assert embedder.engine == expected
    assert (
        f"engine {expected}: measured were {8 / min(mxnet):.3g} with mxnet and {8 / min(onnx):.3g} with onnx"
        in caplog.text
    )
    np.testing.assert_allclose(unit_vectors(embeddings), unit_vectors(load_model(model).embed(images)), atol=1e-4)


def test_the_engines_are_measured(model):
    assert load_model(model, engine="auto").engine in ("mxnet", "onnx")


def test_mxnet_is_taken_without_onnx_runtime(model, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with caplog.at_level(logging.INFO, "arcface_mx"):
        assert load_model(model, engine="auto").engine == "mxnet"
    assert "engine mxnet (" in caplog.text and "onnxruntime" in caplog.text


def test_mxnet_is_taken_where_the_embeddings_differ(model, monkeypatch, take_turns, caplog):
    symbol = nets.embedding(SIZE)
    other = Embedder(symbol, *nets.parameters(symbol, SIZE, seed=5), input_size=SIZE).network
    monkeypatch.setattr(auto_engine, "onnx_engine", lambda network: onnx_engine(other))
    take_turns(mxnet=(9, 9, 9), onnx=(1, 1, 1))
    with caplog.at_level(logging.INFO, "arcface_mx"):
        assert load_model(model, engine="auto").engine == "mxnet"
    assert "the embeddings of ONNX Runtime differ" in caplog.text


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(4):
        (tmp_path / "images" / f"{number}.png").write_bytes(tiny_image(number, 0))
    return str(tmp_path / "images")


def test_embed_records_and_prints_the_engine(model, images, tmp_path, take_turns, capsys):
    take_turns(mxnet=(2, 2, 2), onnx=(1, 1, 1))
    out = str(tmp_path / "out.npz")
    assert main(["embed", model, images, out, "--engine", "auto"]) == 0
    assert "engine: onnx" in capsys.readouterr().out
    assert read_embeddings(out).engine == "onnx"


def test_parts_of_two_engines_are_recorded_with_both(model, images, tmp_path, monkeypatch):
    paths, out = sorted(os.path.join(images, name) for name in os.listdir(images)), str(tmp_path / "out.npz")
    embedder, engines = load_model(model), iter(["mxnet", "onnx"])
    monkeypatch.setattr(Embedder, "engine", property(lambda self: next(engines)))
    assert embed_to_file(embedder, "m", paths, out, FaceOptions(), part_size=2).engine == "mxnet and onnx"


def test_embeddings_of_earlier_versions_are_read(model, images, tmp_path):
    out = str(tmp_path / "out.npz")
    assert main(["embed", model, images, out]) == 0
    embeddings = read_embeddings(out)
    assert embeddings.engine == "mxnet"
    with np.load(out) as stored:
        np.savez(str(tmp_path / "old.npz"), **{name: stored[name] for name in stored.files if name != "engine"})
    assert read_embeddings(str(tmp_path / "old.npz")).engine == ""
    write_fields(out, embeddings._replace(engine=np.asarray(["a", "b"])))
    with pytest.raises(UserError, match=r"engine has shape \(2,\)"):
        read_embeddings(out)


def test_verify_records_the_engine(model, tiny_pairs, tmp_path, take_turns):
    take_turns(mxnet=(2, 2, 2), onnx=(1, 1, 1))
    report = str(tmp_path / "r.json")
    assert (
        main(["verify", model, tiny_pairs, "--folds", "2", "--no-flip-test", "--engine", "auto", "--json", report]) == 0
    )
    assert [entry["engine"] for entry in json.load(open(report))] == ["onnx"]
