"""An exported model has standard operators only and gives the same embeddings in every loader."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.config import from_flat
from arcface_mx.model import engines, fold, optimise
from arcface_mx.model.backbone import make_backbone
from arcface_mx.model.load import load_model
from arcface_mx.train import checkpoint
from arcface_mx.train.run import train
from arcface_mx.util.errors import UserError
from arcface_mx.verify.calibration_file import read_calibration
from tests.support.training import TINY


@pytest.fixture(scope="module", params=["iresnet18", "mobilefacenet"])
def run(request, tmp_path_factory, tiny_faces):
    folder = str(tmp_path_factory.mktemp("export") / request.param)
    width = {"iresnet18": 0.07, "mobilefacenet": 0.2}[request.param]
    train(from_flat(dict(TINY, network=request.param, width=width, data=tiny_faces, run=folder, steps=3)))
    assert main(["export", folder, "--out", folder + "-model"]) == 0
    return folder


@pytest.fixture
def images():
    return np.random.RandomState(0).randint(0, 256, (4, 3, 32, 32)).astype(np.float32)


def module_embeddings(run, images):
    symbol, args, aux = mx.model.load_checkpoint(os.path.join(run + "-model", "model"), 0)
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", images.shape)], for_training=False)
    module.set_params(args, aux)
    module.forward(mx.io.DataBatch([mx.nd.array(images)]), is_train=False)
    return module.get_outputs()[0].asnumpy()


@pytest.mark.slow
def test_module_symbolblock_and_embedder_give_the_same_embeddings(run, images, monkeypatch):
    prefix = os.path.join(run + "-model", "model")
    block = mx.gluon.SymbolBlock.imports(prefix + "-symbol.json", ["data"], prefix + "-0000.params")
    expected = module_embeddings(run, images)
    np.testing.assert_allclose(block(mx.nd.array(images)).asnumpy(), expected, atol=1e-6)
    pixels = [image.transpose(1, 2, 0).astype(np.uint8) for image in images]
    # The embedder uses the optimised form, which rounds differently.
    embeddings = load_model(run + "-model").embed(pixels)
    np.testing.assert_allclose(embeddings, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    monkeypatch.setattr(engines, "optimise", lambda symbol, args, aux, image, size: (symbol, args, aux))
    np.testing.assert_allclose(load_model(run + "-model").embed(pixels), expected, atol=1e-6)


def test_the_export_equals_the_training_network(run, images):
    from arcface_mx.train.folder import read_config

    config, state = read_config(run), checkpoint.latest(run)
    symbol = make_backbone(config.network, config.data.image_size).symbol(training=True)
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=images.shape)
    executor.copy_params_from(state.arg_params, state.aux_params, allow_extra_params=True)
    trained = executor.forward(is_train=False, data=mx.nd.array(images))[0].asnumpy()
    np.testing.assert_allclose(module_embeddings(run, images), trained, rtol=0, atol=1e-6 * np.abs(trained).max())


def test_the_export_has_standard_operators_and_states_its_input(run):
    with open(os.path.join(run + "-model", "model-symbol.json"), encoding="utf-8") as stream:
        nodes = json.load(stream)["nodes"]
    assert nodes[-1]["name"] == "fc1"
    assert not any("_below" in node["name"] for node in nodes)
    assert any(node["attrs"].get("act_type") == "prelu" for node in nodes if node["op"] == "LeakyReLU")
    data = next(node for node in nodes if node["name"] == "data")
    assert data["attrs"]["arcface_input_size"] == "32,32" and data["attrs"]["arcface_colour_order"] == "RGB"


@pytest.fixture
def copy(run, tmp_path):
    shutil.copytree(run + "-model", str(tmp_path / "model"))
    return str(tmp_path / "model")


def test_a_flipped_bit_of_an_export_is_refused_and_the_array_named(copy):
    path = os.path.join(copy, "model-0000.params")
    load_model(copy)
    with open(path, "r+b") as stream:
        stream.seek(200)
        byte = stream.read(1)[0]
        stream.seek(200)
        stream.write(bytes([byte ^ 16]))
    with pytest.raises(UserError, match=r"model-0000.params: array arg:\w+ differs from its checksum"):
        load_model(copy)
    mx.nd.load(path)  # MXNet does not notice


def test_a_changed_graph_is_refused(copy):
    path = os.path.join(copy, "model-symbol.json")
    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text.replace("\n", "\r\n"))  # line ends do not matter
    load_model(copy)
    changed = re.sub(r'("num_filter": ")(\d+)"', r'\g<1>\g<2>", "workspace": "1"', text, count=1)
    assert changed != text
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(changed)
    with pytest.raises(UserError, match="model-symbol.json: is not the graph that was exported with model-0000.params"):
        load_model(copy)
    arrays = mx.nd.load(os.path.join(copy, "model-0000.params"))
    mx.nd.save(os.path.join(copy, "model-0000.params"), arrays)  # MXNet saves no checksums, so nothing is compared
    load_model(copy)


def test_two_exports_of_a_run_are_equal_byte_for_byte(run, tmp_path):
    mx.sym.Variable("x") + 1  # must not change the numbers of unnamed operators
    assert main(["export", run, "--out", str(tmp_path)]) == 0
    for name in ("model-symbol.json", "model-0000.params"):
        with open(os.path.join(run + "-model", name), "rb") as first, open(str(tmp_path / name), "rb") as second:
            assert first.read() == second.read()


def test_a_run_without_checkpoint_is_refused(tmp_path, capsys):
    assert main(["export", str(tmp_path)]) == 2
    assert "config.json: no such file" in capsys.readouterr().err


def test_the_c_predict_interface_loads_the_files(run, images):
    """C and C++ programs pass the two files to MXNet as bytes."""
    library = mx.base._LIB
    if not hasattr(library, "MXPredCreate"):
        pytest.skip("this MXNet is built without the C predict interface")
    prefix = os.path.join(run + "-model", "model")
    with open(prefix + "-symbol.json", "rb") as stream:
        symbol = stream.read()
    with open(prefix + "-0000.params", "rb") as stream:
        arrays = stream.read()
    handle, shape = ctypes.c_void_p(), images.shape
    starts, lengths = (ctypes.c_uint * 2)(0, 4), (ctypes.c_uint * 4)(*shape)
    keys = (ctypes.c_char_p * 1)(b"data")
    code = library.MXPredCreate(symbol, arrays, len(arrays), 1, 0, 1, keys, starts, lengths, ctypes.byref(handle))
    assert code == 0, library.MXGetLastError()
    flat = np.ascontiguousarray(images.ravel())
    pointer = flat.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    assert library.MXPredSetInput(handle, b"data", pointer, flat.size) == 0
    assert library.MXPredForward(handle) == 0
    embeddings = np.zeros_like(module_embeddings(run, images))
    pointer = embeddings.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    assert library.MXPredGetOutput(handle, 0, pointer, embeddings.size) == 0
    library.MXPredFree(handle)
    np.testing.assert_allclose(embeddings, module_embeddings(run, images), atol=1e-5 * np.abs(embeddings).max())


def test_the_card_states_what_the_network_was_made_from(run):
    with open(os.path.join(run + "-model", "model-card.md"), encoding="utf-8") as stream:
        card = stream.read()
    with open(os.path.join(run, "environment.json"), encoding="utf-8") as stream:
        assert json.load(stream)["data"]["fingerprint"] in card
    assert "35 images of 5 identities" in card and re.search(r"\| input size +\| 32,32 ", card) and "--network" in card
    assert "Not calibrated" in card


@pytest.mark.slow
def test_calibration_is_measured_or_carried_over(run, tiny_pairs, tmp_path):
    out, again = str(tmp_path / "out"), str(tmp_path / "again")
    assert main(["export", run, "--out", out, "--calibrate", tiny_pairs]) == 0
    assert main(["export", out, "--out", again, "--fold", "--images", tiny_pairs]) == 0
    levels = []
    for folder in (out, again):
        stored = read_calibration(os.path.join(folder, "model-calibration.json"), folder)
        levels.append(stored.for_flip("none").levels)
        with open(os.path.join(folder, "model-card.md"), encoding="utf-8") as stream:
            assert "20 same, 20 different pairs" in stream.read()
    assert levels[0] == levels[1] and levels[0][0.1].accepted <= 2


def test_a_folded_form_that_differs_from_the_trained_network_is_refused(run, tiny_pairs, tmp_path, monkeypatch, capsys):
    def wrong(symbol, arg_params, aux_params):
        folded, args, aux = fold.fold_batchnorm(symbol, arg_params, aux_params)
        name = next(key for key in args if key.endswith("weight"))
        return folded, dict(args, **{name: mx.nd.abs(args[name])}), aux

    # The embedder folds too, and with the same mistake it must not become the measure.
    monkeypatch.setattr(engines, "fold_batchnorm", wrong)
    monkeypatch.setattr(optimise, "fold_batchnorm", wrong)
    out = tmp_path / "out"
    assert main(["export", run, "--out", str(out), "--fold", "--images", tiny_pairs]) == 2
    assert re.search(r"folded model: its unit embeddings differ .* nothing was written", capsys.readouterr().err)
    assert not out.exists()
