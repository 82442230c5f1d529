"""ONNX Runtime gives MXNet's embeddings; the int8 form is near them and is tied to its model."""

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
from arcface_mx.model import engines
from arcface_mx.model.embedder import Embedder
from arcface_mx.model.engines import onnx_engine
from arcface_mx.model.load import load_model
from arcface_mx.util import threads
from arcface_mx.util.errors import UserError
from tests.conftest import shared_path
from tests.support import nets

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
SIZE = (32, 32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return nets.save(tmp_path_factory.mktemp("engines"), *nets.backbone("iresnet18")) + ",0"


@pytest.fixture(scope="module")
def quantised(model, tiny_pairs, tmp_path_factory):
    pytest.importorskip("onnxruntime.quantization")
    out = str(tmp_path_factory.mktemp("int8") / "out")
    assert main(["export", model, "--out", out, "--int8", "--images", tiny_pairs]) == 0
    return out


def image_folder(folder, count=5):
    folder.mkdir()
    for number, image in enumerate(nets.images(count, SIZE)):
        cv2.imwrite(str(folder / (f"{number}.png")), image[..., ::-1])
    return str(folder)


@pytest.mark.parametrize("name", ["iresnet18", "mobilefacenet"])
@pytest.mark.parametrize("flip", [False, True])
def test_onnx_runtime_gives_the_embeddings_of_mxnet(name, flip):
    images = nets.images(11, SIZE)
    expected, embeddings = (
        Embedder(*nets.backbone(name), input_size=SIZE, engine=engine).embed(images, 4, flip)
        for engine in (None, onnx_engine)
    )
    np.testing.assert_allclose(unit_vectors(embeddings), unit_vectors(expected), atol=1e-4)


@pytest.mark.parametrize("engine", [None, onnx_engine])
def test_the_number_of_threads_is_measured_in_the_fourth_batch_and_changes_no_bit(two_cores, monkeypatch, engine):
    images, timed = nets.images(11, SIZE), []
    monkeypatch.setattr(engines, "fastest", lambda times: timed.append(sorted(times)) or 1)

    def embeddings(count):
        return Embedder(*nets.backbone("iresnet18"), input_size=SIZE, engine=engine).embed(images[:count], 2, flip=True)

    expected = embeddings(6)
    assert not timed and threads.is_open()
    measured = embeddings(11)
    assert timed[0] == [1, 2] and threads.num_threads() == 1 and not threads.is_open()
    taken = len(timed)
    np.testing.assert_array_equal(measured, embeddings(11))  # with one thread from the first batch on
    np.testing.assert_array_equal(measured[:6], expected)
    assert len(timed) == taken


def test_the_command_embed_computes_with_the_threads_of_its_flag(model, tmp_path, two_cores):
    images = image_folder(tmp_path / "images")
    assert main(["embed", model, images, str(tmp_path / "out.npz"), "--threads", "1"]) == 0
    assert threads.num_threads() == 1


def test_the_command_embed_runs_onnx_runtime(model, tmp_path):
    images = image_folder(tmp_path / "images")
    files = [str(tmp_path / engine) + ".npz" for engine in ("mxnet", "onnx")]
    for out, engine in zip(files, ("mxnet", "onnx")):
        assert main(["embed", model, images, out, "--flip", "sum", "--engine", engine]) == 0
    mxnet, onnx = map(read_embeddings, files)
    np.testing.assert_allclose(unit_vectors(onnx.vectors), unit_vectors(mxnet.vectors), atol=1e-4)
    assert mxnet.model == onnx.model


def test_a_missing_onnx_runtime_gives_one_clear_line(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["embed", model, image_folder(tmp_path / "images"), str(tmp_path / "out.npz"), "--engine", "onnx"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "pip install 'arcface-mx[export]'" in message


def test_a_graph_that_fails_in_onnx_runtime_is_named():
    engine = onnx_engine(Embedder(*nets.backbone("iresnet18"), input_size=SIZE).network)
    with pytest.raises(UserError, match="^model: cannot run: "):
        engine.start(np.zeros((1, 3, 8, 8), np.float32), 1)()


@pytest.mark.slow
def test_int8_embeddings_are_near_those_of_the_network(model, quantised):
    images = nets.images(11, SIZE)
    expected = unit_vectors(load_model(model).embed(images))
    embeddings = unit_vectors(load_model(quantised, engine="int8").embed(images, 4))
    assert np.sum(expected * embeddings, axis=1).min() > 0.98
    assert np.abs(expected - embeddings).max() > 1e-4  # the int8 form ran, and not the network


def test_int8_embeddings_are_marked_as_another_models(quantised, tmp_path):
    images = image_folder(tmp_path / "images")
    files = [str(tmp_path / engine) + ".npz" for engine in ("mxnet", "int8")]
    for out, engine in zip(files, ("mxnet", "int8")):
        assert main(["embed", quantised, images, out, "--engine", engine]) == 0
    mxnet, int8 = map(read_embeddings, files)
    assert mxnet.model != int8.model and mxnet.vectors.shape == int8.vectors.shape


def test_an_int8_form_that_is_missing_or_of_other_parameters_is_refused(model, quantised, tmp_path):
    with pytest.raises(UserError, match="model-int8.onnx: No such file.*export --int8"):
        load_model(model, engine="int8")
    folder = str(tmp_path / "copy")
    shutil.copytree(quantised, folder)
    symbol = nets.backbone("iresnet18")[0]
    nets.save(tmp_path / "copy", symbol, *nets.parameters(symbol, SIZE, seed=5))
    with pytest.raises(UserError, match="was not made from .*export both again"):
        load_model(folder, engine="int8")


def test_an_unknown_engine_or_a_gpu_is_refused(model):
    with pytest.raises(UserError, match="`engine` must be one of mxnet, onnx, int8, auto, got tensor"):
        load_model(model, engine="tensor")
    with pytest.raises(UserError, match="`engine` onnx runs on the CPU"):
        load_model(model, [mx.gpu(0)], engine="onnx")


def test_a_published_model_by_onnx_runtime():
    prefix = shared_path("zoo/mobileface_v2-symbol.json")[: -len("-symbol.json")]
    images = nets.images(3)
    expected, embeddings = (
        unit_vectors(load_model(prefix + ",0", engine=engine).embed(images)) for engine in ("mxnet", "onnx")
    )
    np.testing.assert_allclose(embeddings, expected, atol=1e-4)
