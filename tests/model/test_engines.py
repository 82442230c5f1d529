"""ONNX Runtime as the engine gives MXNet's embeddings; the int8 form is near them, and belongs to its model."""

from __future__ import annotations

import shutil
import sys

import cv2
import mxnet as mx
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.faces.embed import read_embeddings
from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.model import Embedder, load_model
from arcface_mx.model.engines import onnx_engine
from arcface_mx.symbols import backbone
from arcface_mx.util.errors import UserError
from tests.conftest import shared_path
from tests.model.test_fold import random_parameters
from tests.support import nets

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
SIZE = (32, 32)


def network(name="iresnet18"):
    data = mx.sym.Variable("data", attr={"arcface_input_size": "32,32"})
    symbol = backbone(name, data, embedding_size=16, width=0.25, input_size=SIZE[0])
    return (symbol,) + random_parameters(symbol, SIZE)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return nets.save(tmp_path_factory.mktemp("engines"), *network()) + ",0"


@pytest.fixture(scope="module")
def quantised(model, tiny_pairs, tmp_path_factory):
    pytest.importorskip("onnxruntime.quantization")
    out = str(tmp_path_factory.mktemp("int8") / "out")
    assert main(["export", model, "--out", out, "--int8", "--photos", tiny_pairs]) == 0
    return out


def photo_folder(folder, count=5):
    folder.mkdir()
    for number, image in enumerate(nets.photos(count, SIZE)):
        cv2.imwrite(str(folder / (f"{number}.png")), image[..., ::-1])
    return str(folder)


@pytest.mark.parametrize("name", ["iresnet18", "mobilefacenet"])
@pytest.mark.parametrize("mirror", [False, True])
def test_onnx_runtime_gives_the_embeddings_of_mxnet(name, mirror):
    images = nets.photos(11, SIZE)
    expected, found = (
        Embedder(*network(name), input_size=SIZE, engine=engine).embed(images, 4, mirror)
        for engine in (None, onnx_engine)
    )
    np.testing.assert_allclose(unit_vectors(found), unit_vectors(expected), atol=1e-4)


def test_embed_by_onnx_runtime(model, tmp_path):
    photos = photo_folder(tmp_path / "photos")
    files = [str(tmp_path / engine) + ".npz" for engine in ("mxnet", "onnx")]
    for out, engine in zip(files, ("mxnet", "onnx")):
        assert main(["embed", model, photos, out, "--flip", "sum", "--engine", engine]) == 0
    one, other = map(read_embeddings, files)
    np.testing.assert_allclose(unit_vectors(other.vectors), unit_vectors(one.vectors), atol=1e-4)
    assert one.model == other.model


def test_a_missing_onnx_runtime_is_one_clear_line(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["embed", model, photo_folder(tmp_path / "photos"), str(tmp_path / "out.npz"), "--engine", "onnx"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "pip install 'arcface-mx[export]'" in told


def test_a_graph_that_fails_in_onnx_runtime_is_named():
    with pytest.raises(UserError, match="^model: cannot run: "):
        Embedder(*network(), input_size=SIZE, engine=onnx_engine)._started().start(
            np.zeros((1, 3, 8, 8), np.float32), 1
        )()


def test_int8_embeddings_are_near_those_of_the_network(model, quantised, capsys):
    images = nets.photos(11, SIZE)
    expected, found = (
        unit_vectors(load_model(model).embed(images)),
        unit_vectors(load_model(quantised, engine="int8").embed(images, 4)),
    )
    assert np.sum(expected * found, axis=1).min() > 0.98
    assert np.abs(expected - found).max() > 1e-4  # the form itself ran


def test_int8_embeddings_are_marked_as_another_models(quantised, tmp_path):
    photos = photo_folder(tmp_path / "photos")
    files = [str(tmp_path / engine) + ".npz" for engine in ("mxnet", "int8")]
    for out, engine in zip(files, ("mxnet", "int8")):
        assert main(["embed", quantised, photos, out, "--engine", engine]) == 0
    one, other = map(read_embeddings, files)
    assert one.model != other.model and one.vectors.shape == other.vectors.shape


def test_an_int8_form_that_is_missing_or_of_other_parameters_is_refused(model, quantised, tmp_path):
    with pytest.raises(UserError, match="model-int8.onnx: No such file.*export --int8"):
        load_model(model, engine="int8")
    folder = str(tmp_path / "copy")
    shutil.copytree(quantised, folder)
    symbol = network()[0]
    nets.save(tmp_path / "copy", symbol, *nets.parameters(symbol, SIZE, seed=5))
    with pytest.raises(UserError, match="is not a form of .*export both again"):
        load_model(folder, engine="int8")


def test_a_form_far_from_the_network_is_not_written(model, tiny_pairs, tmp_path, monkeypatch, capsys):
    from arcface_mx.export import export

    monkeypatch.setattr(
        export, "quantised", lambda data, photos: export.onnx_bytes(*network("mobilefacenet"), "data", SIZE, {})
    )
    assert main(["export", model, "--out", str(tmp_path / "out"), "--int8", "--photos", tiny_pairs]) == 2
    assert (
        "int8 model: its embeddings have a mean cosine of" in capsys.readouterr().err
        and not (tmp_path / "out").exists()
    )


def test_engines_are_checked(model):
    with pytest.raises(UserError, match="engine tensor: there are mxnet, onnx, int8"):
        load_model(model, engine="tensor")
    with pytest.raises(UserError, match="--engine onnx runs on the CPU"):
        load_model(model, [mx.gpu(0)], engine="onnx")


def test_a_published_model_by_onnx_runtime():
    prefix = shared_path("zoo/mobileface_v2-symbol.json")[: -len("-symbol.json")]
    images = nets.photos(3)
    expected, found = (
        unit_vectors(load_model(prefix + ",0", engine=engine).embed(images)) for engine in ("mxnet", "onnx")
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)
