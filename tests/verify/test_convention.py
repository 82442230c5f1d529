"""Verification names the input that a model takes, where it is run with another one."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.bins.read import read_pairs
from arcface_mx.model.convention import normalised, parse_convention
from arcface_mx.model.embedder import Embedder
from arcface_mx.model.load import load_model
from arcface_mx.verify import convention
from arcface_mx.verify.convention import _accuracy, _both_kinds, better_convention, separation
from tests.conftest import shared_path
from tests.support import nets, onnx_files

SIZE = (32, 32)
CONVENTIONS = ["rgb,0,1", "bgr,0,1", "rgb,127.5,127.5", "bgr,127.5,128"]


def red_sign(path):
    """Write a model that sees in which pixels red is above 127.5, and nothing if the pixels are small."""
    data = mx.sym.Variable("data", attr={"arcface_input_size": "32,32"})
    red = mx.sym.slice_axis(data, axis=1, begin=0, end=1)
    blocks = mx.sym.Pooling(mx.sym.clip(red, 127.5, 128.5), kernel=(8, 8), stride=(8, 8), pool_type="avg")
    symbol = mx.sym.FullyConnected(blocks - 128, num_hidden=16, no_bias=True, name="fc1")
    return nets.save(path, symbol, {"fc1_weight": mx.nd.array(np.eye(16) + 0.01)}, {}) + ",0"


def test_a_better_input_is_named_once(tmp_path, tiny_pairs, caplog, capsys):
    model = red_sign(tmp_path)
    assert main(["verify", model, tiny_pairs, tiny_pairs, "--input", "bgr,127.5,128", "--folds", "2"]) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if "its accuracy is" in line]
    assert len(warnings) == 1
    assert "with the input bgr,127.5,128 and" in warnings[0] and "with rgb,0,1, which" in warnings[0]
    assert "state what it takes by --input" in warnings[0]


def test_calibrate_names_it_too(tmp_path, tiny_pairs, capsys):
    assert main(["calibrate", red_sign(tmp_path), tiny_pairs, "--input", "rgb,127.5,128"]) == 0
    assert "with rgb,0,1, which" in capsys.readouterr().err


@pytest.mark.parametrize("stated", [None, "rgb"])
def test_the_right_input_is_not_doubted(tmp_path, tiny_pairs, stated, capsys):
    flags = ["--input", stated] if stated else []
    assert main(["verify", red_sign(tmp_path), tiny_pairs, "--folds", "2", *flags]) == 0
    assert "its accuracy is" not in capsys.readouterr().err


def test_a_model_that_states_its_input_is_believed_and_not_tried(tmp_path, tiny_pairs, monkeypatch):
    out = str(tmp_path / "out")
    assert main(["export", red_sign(tmp_path), "--out", out]) == 0
    monkeypatch.setattr("arcface_mx.verify.convention.better_convention", lambda *_: pytest.fail("it was tried"))
    assert main(["verify", out, tiny_pairs, "--folds", "2"]) == 0


def test_the_convention_in_use_is_kept(tmp_path, tiny_pairs):
    model = load_model(red_sign(tmp_path), convention="bgr,127.5,128")
    assert str(better_convention(model, read_pairs(tiny_pairs)).convention) == "rgb,0,1"
    assert str(model.convention) == "bgr,127.5,128"


def test_separation_and_accuracy_are_those_of_their_definitions():
    random = np.random.RandomState(0)
    same = np.arange(60) % 3 == 0
    scores = random.normal(same, 1)
    spread = np.sqrt((scores[same].var() + scores[~same].var()) / 2)
    np.testing.assert_allclose(separation(scores, same), (scores[same].mean() - scores[~same].mean()) / spread)
    expected = max(np.mean((scores >= threshold) == same) for threshold in [*scores, np.inf])
    assert _accuracy(scores, same) == pytest.approx(expected)


def test_both_kinds_of_pairs_are_taken():
    same = np.arange(1000) < 500
    rows = _both_kinds(same, 200)
    assert len(set(rows)) == 200 and same[rows].sum() == 100


@pytest.mark.parametrize("text", CONVENTIONS + ["bgr,100,60"])
def test_the_step_inside_a_graph_is_the_one_before_it(text):
    asked, pixels = parse_convention(text), np.stack(nets.images(2, (8, 8))).transpose(0, 3, 1, 2)
    pixels = pixels.astype(np.float32)
    executor = normalised(mx.sym.Variable("data"), asked).bind(mx.cpu(), {"data": mx.nd.array(pixels)})
    np.testing.assert_allclose(executor.forward()[0].asnumpy(), asked.apply(pixels), rtol=1e-6, atol=1e-6)


def taking(model, text):
    """Return an ONNX file's bytes of a network for RGB pixels, rewritten so that it takes another input."""
    (order, mean, scale), network = parse_convention(text), load_model(model).network
    data = mx.sym.Variable("data") * scale + mean
    if order == "bgr":
        channels = mx.sym.SliceChannel(data, num_outputs=3, axis=1)
        data = mx.sym.Concat(channels[2], channels[1], channels[0], dim=1)
    network.symbol._compose(**{network.image: data})
    return network._replace(image="data").to_onnx({})


@pytest.mark.slow
def test_a_wrong_input_is_named_in_8_of_8_trials(tmp_path, monkeypatch):
    """Of each of four networks: the wrong colours, and the wrong scale.

    What reaches the first layer is one of six forms of the pixels, so scores are computed once for each form.
    """
    known, measure = {}, convention._scores

    def scores(embedder, pairs, rows, conventions):
        own, results = parse_convention(CONVENTIONS[int(embedder.name[-6])]), {}
        for tried in conventions:
            form = own.order == tried.order, own.mean, tried.mean
            form = form if own.mean != tried.mean else form[:1]
            known[form] = known.get(form) or measure(embedder, pairs, rows, [tried])
            results[tried] = next(iter(known[form].values()))
        return results

    monkeypatch.setattr(convention, "_scores", scores)
    pytest.importorskip("onnxruntime")
    published = shared_path("zoo/mobileface_v2-symbol.json")[: -len("-symbol.json")] + ",0"
    pairs = read_pairs(shared_path("faces/lfw/lfw.bin"))
    named = []
    for number, own in enumerate(CONVENTIONS):
        path = onnx_files.save(tmp_path / f"{number}.onnx", taking(published, own))
        for wrong in (CONVENTIONS[number ^ 1], CONVENTIONS[number ^ 2]):
            found = better_convention(load_model(path, convention=wrong), pairs)
            named.append((own, wrong, found and str(found.convention)))
    found = [name for _, _, name in named]
    assert [name and parse_convention(name)[:2] for name in found] == [
        parse_convention(own)[:2] for own, _, _ in named
    ], named


def test_pixels_of_another_convention_reach_every_engine():
    symbol, arguments, states = nets.backbone("mobilefacenet")
    images, asked = nets.images(2, SIZE), parse_convention("bgr,10,2")
    batch = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32)[:, ::-1]
    made = Embedder(symbol, arguments, states, input_size=SIZE, convention=asked)
    executor = symbol.bind(
        mx.cpu(), dict(arguments, data=mx.nd.array((batch - 10) / 2)), aux_states=states, grad_req="null"
    )
    expected = executor.forward(is_train=False)[0].asnumpy()
    np.testing.assert_allclose(made.embed(images), expected, atol=1e-5 * np.abs(expected).max())
