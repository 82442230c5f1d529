"""Models are found, cut at the embedding and checked; bad ones get one clear line."""

from __future__ import annotations

import itertools
import json
import os

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.model.load import load_model
from arcface_mx.util.errors import UserError
from tests.conftest import shared_path
from tests.support import nets

SIZE = (64, 64)


def saved(tmp_path, symbol, size=SIZE, epoch=0, **inputs):
    arguments, states = nets.parameters(symbol, size, **inputs)
    return nets.save(tmp_path, symbol, arguments, states, epoch), arguments, states


def check(embedder, symbol, arguments, states, size=SIZE):
    images = nets.images(3, size)
    np.testing.assert_allclose(embedder.embed(images), nets.outputs(symbol, arguments, states, images), atol=1e-5)


def test_a_model_is_a_folder_or_prefix_and_epoch(tmp_path):
    symbol = nets.embedding(SIZE)
    prefix, arguments, states = saved(tmp_path, symbol)
    for spec in (str(tmp_path), str(tmp_path) + os.sep, prefix + ",0", prefix + ",0000"):
        embedder = load_model(spec)
        assert embedder.input_size == SIZE and embedder.notes == []
        check(embedder, symbol, arguments, states)


def test_another_epoch_is_read_and_a_missing_one_lists_those_there(tmp_path):
    prefix, arguments, states = saved(tmp_path, nets.embedding(SIZE), epoch=24)
    check(load_model(prefix + ",24"), nets.embedding(SIZE), arguments, states)
    with pytest.raises(UserError, match="model-0003.params: no such file .*epochs there: 24"):
        load_model(prefix + ",3")


# Input size


def test_the_input_size_is_read_from_the_attribute(tmp_path):
    """Global pooling takes any size, so only the attribute states it."""
    prefix, _, _ = saved(tmp_path, nets.embedding((56, 48), pooled=True), (56, 48))
    assert load_model(prefix + ",0").input_size == (56, 48)


@pytest.mark.parametrize("size", [(112, 112), (112, 96), (64, 64), (128, 128), (224, 224)])
def test_the_input_size_is_inferred_from_the_weights(tmp_path, size):
    prefix, _, _ = saved(tmp_path, nets.embedding(), size)
    assert load_model(prefix + ",0").input_size == size


def test_the_input_size_is_read_from_a_shape_on_the_variable(tmp_path):
    data = mx.sym.Variable("data", shape=(0, 3, 40, 40))
    symbol = mx.sym.FullyConnected(data, num_hidden=4, name="fc1")
    prefix, _, _ = saved(tmp_path, symbol, (40, 40))
    assert load_model(prefix + ",0").input_size == (40, 40)


def test_the_input_size_defaults_to_the_field_s_crop(tmp_path):
    prefix, _, _ = saved(tmp_path, nets.embedding(pooled=True))
    assert load_model(prefix + ",0").input_size == (112, 112)


def test_an_attribute_that_disagrees_with_the_weights_is_refused(tmp_path):
    symbol = nets.embedding((32, 32))
    bare = nets.embedding()
    arguments, states = nets.parameters(bare, SIZE)
    prefix = nets.save(tmp_path, symbol, arguments, states)
    with pytest.raises(UserError, match="fc1_weight has shape .*; for images of 32×32 it must be"):
        load_model(prefix + ",0")


# Graphs of training


def margin_head(embedded):
    label = mx.sym.Variable("softmax_label")
    normalised = mx.sym.L2Normalization(embedded, mode="instance") * 64
    weight = mx.sym.L2Normalization(mx.sym.Variable("fc7_weight"), mode="instance")
    logits = mx.sym.FullyConnected(normalised, weight, no_bias=True, num_hidden=5, name="fc7")
    return mx.sym.SoftmaxOutput(logits, label, name="softmax"), label


def test_a_training_graph_is_cut_at_fc1(tmp_path):
    embedded = nets.embedding(SIZE)
    head, _ = margin_head(embedded)
    symbol = mx.sym.Group([mx.sym.BlockGrad(embedded), head])
    prefix, arguments, states = saved(tmp_path, symbol, softmax_label=(1,), fc7_weight=(5, 8))
    embedder = load_model(prefix + ",0")
    assert "cut at fc1_output" in embedder.notes[0] and "\n" not in embedder.notes[0]
    del arguments["fc7_weight"]
    check(embedder, embedded, arguments, states)


def test_a_training_graph_without_fc1_is_cut_before_the_classifier(tmp_path):
    embedded = nets.embedding(SIZE, name="feature")
    symbol, _ = margin_head(embedded)
    prefix, arguments, states = saved(tmp_path, symbol, softmax_label=(1,), fc7_weight=(5, 8))
    embedder = load_model(prefix + ",0")
    assert "cut at feature_output" in embedder.notes[0]
    del arguments["fc7_weight"]
    check(embedder, embedded, arguments, states)


def test_a_graph_with_a_label_and_no_loss_is_cut_at_fc1(tmp_path):
    embedded = nets.embedding(SIZE)
    logits = mx.sym.FullyConnected(embedded, num_hidden=5, name="fc7")
    target = mx.sym.pick(logits, mx.sym.Variable("softmax_label"))
    prefix, arguments, states = saved(tmp_path, target, softmax_label=(1,))
    embedder = load_model(prefix + ",0")
    assert "cut at fc1_output" in embedder.notes[0]
    check(embedder, embedded, {key: value for key, value in arguments.items() if "fc7" not in key}, states)


def test_a_graph_without_loss_is_not_cut_at_a_hidden_fc1(tmp_path):
    """A hidden layer may be called fc1; the embedding is the graph's output."""
    symbol = mx.sym.FullyConnected(nets.embedding(SIZE, name="fc1"), num_hidden=6, name="final")
    prefix, arguments, states = saved(tmp_path, symbol)
    embedder = load_model(prefix + ",0")
    assert embedder.embedding_size == 6 and embedder.notes == []
    check(embedder, symbol, arguments, states)


def test_the_embedding_layer_can_be_named(tmp_path):
    symbol = mx.sym.FullyConnected(nets.embedding(SIZE, name="hidden"), num_hidden=6, name="final")
    prefix, _, _ = saved(tmp_path, symbol)
    assert load_model(prefix + ",0", layer="hidden").embedding_size == 8
    assert load_model(prefix + ",0", layer="hidden_output").embedding_size == 8
    with pytest.raises(UserError, match="no layer fc9; its last layers are .*hidden, final"):
        load_model(prefix + ",0", layer="fc9")


def test_a_graph_whose_embedding_is_unclear_asks_for_the_layer(tmp_path):
    symbol = mx.sym.MakeLoss(mx.sym.sum(nets.embedding(SIZE, name="feature")), name="loss")
    prefix, _, _ = saved(tmp_path, symbol)
    with pytest.raises(UserError, match="it is not clear which layer is the embedding; name it with `layer`"):
        load_model(prefix + ",0")
    assert load_model(prefix + ",0", layer="feature").embedding_size == 8


def test_parameters_that_the_graph_does_not_use_are_ignored(tmp_path):
    symbol = nets.embedding(SIZE)
    arguments, states = nets.parameters(symbol, SIZE)
    prefix = nets.save(tmp_path, symbol, dict(arguments, fc7_weight=mx.nd.ones((5, 8))), states)
    check(load_model(prefix + ",0"), symbol, arguments, states)


def test_the_image_input_may_have_another_name(tmp_path):
    symbol = mx.sym.FullyConnected(mx.sym.Variable("image"), num_hidden=4, name="fc1")
    prefix = nets.save(tmp_path, symbol, {"fc1_weight": mx.nd.ones((4, 3 * 64 * 64)), "fc1_bias": mx.nd.zeros(4)}, {})
    assert load_model(prefix + ",0").embed(nets.images(2, SIZE)).shape == (2, 4)


def test_a_symbol_of_an_old_mxnet_is_upgraded(tmp_path):
    """MXNet 0.8 wrote the attributes of operators as "param", and no version."""
    graph = json.loads(nets.embedding(SIZE).tojson())
    for node in graph["nodes"]:
        node["param" if node["op"] != "null" else "attr"] = node.pop("attrs", {})
    del graph["attrs"]
    arguments, states = nets.parameters(nets.embedding(SIZE), SIZE)
    prefix = nets.save(tmp_path, nets.embedding(SIZE), arguments, states)
    (tmp_path / "model-symbol.json").write_text(json.dumps(graph))
    check(load_model(prefix + ",0"), nets.embedding(SIZE), arguments, states)


# Bad input


def test_missing_and_mismatched_parameters_are_named(tmp_path):
    symbol = nets.embedding(SIZE)
    arguments, states = nets.parameters(symbol, SIZE)

    def refused(message, arguments, states):
        prefix = nets.save(tmp_path, symbol, arguments, states)
        with pytest.raises(UserError) as caught:
            load_model(prefix + ",0")
        assert message in str(caught.value) and "model-0000.params" in str(caught.value)

    without = {key: value for key, value in arguments.items() if not key.startswith("conv")}
    refused("missing: conv_weight, conv_bias", without, states)
    refused("missing: bn_moving_var", arguments, {"bn_moving_mean": states["bn_moving_mean"]})
    refused("conv_weight has shape (4, 3, 5, 5)", dict(arguments, conv_weight=mx.nd.ones((4, 3, 5, 5))), states)
    refused("no image input", dict(arguments, data=mx.nd.ones((1, 3, 64, 64))), states)


def test_files_that_are_not_models_are_refused(tmp_path):
    symbol = nets.embedding(SIZE)
    prefix, _, _ = saved(tmp_path, symbol)
    params, graph = tmp_path / "model-0000.params", tmp_path / "model-symbol.json"
    whole, text = params.read_bytes(), graph.read_text()
    for content in (b"", b"not parameters", whole[:100], whole[:-1]):
        params.write_bytes(content)
        with pytest.raises(UserError, match="model-0000.params: cannot be read as MXNet parameters: ."):
            load_model(prefix + ",0")
    mx.nd.save(str(params), [mx.nd.ones(3)])
    with pytest.raises(UserError, match="its arrays have no names"):
        load_model(prefix + ",0")
    mx.nd.save(str(params), {"conv_weight": mx.nd.ones(3)})
    with pytest.raises(UserError, match="holds 'conv_weight', not arg: and aux: names"):
        load_model(prefix + ",0")
    params.write_bytes(whole)
    for content in ("", "{", "[]", '{"nodes": 3}', text[: len(text) // 2], text.replace("Convolution", "NoSuchLayer")):
        graph.write_text(content)
        with pytest.raises(UserError, match="model-symbol.json: cannot be read as an MXNet symbol: .") as caught:
            load_model(prefix + ",0")
        assert "\n" not in str(caught.value)


def test_a_missing_model_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(UserError, match="has no model-symbol.json; if it is a training run, run: arcface-mx export"):
        load_model(str(tmp_path))
    with pytest.raises(UserError, match="neither a run folder nor PREFIX,EPOCH"):
        load_model(str(tmp_path / "none"))
    with pytest.raises(UserError, match="none-symbol.json: no such file"):
        load_model(str(tmp_path / "none,0"))
    nets.save(tmp_path, nets.embedding(SIZE), {}, {}, name="r50")
    with pytest.raises(UserError, match="has no model-symbol.json; write .*r50,EPOCH"):
        load_model(str(tmp_path))
    with pytest.raises(UserError, match="write .*r50,EPOCH; epochs there: 0"):
        load_model(str(tmp_path / "r50"))


def test_a_published_model_of_an_old_mxnet_runs():
    """oneDNN's graph pass can crash on old graphs, so arcface_mx.util.environment turns it off."""
    assert os.environ["MXNET_SUBGRAPH_BACKEND"] in ("NONE", "default")
    embedder = load_model(shared_path("zoo/mobileface_v2-symbol.json")[: -len("-symbol.json")] + ",0")
    assert (embedder.input_size, embedder.embedding_size) == ((112, 112), 256)
    pairs = read_pairs(shared_path("faces/lfw/lfw.bin"))
    count = int(max(pairs.left[:15].max(), pairs.right[:15].max())) + 1
    unit = unit_vectors(embedder.embed(itertools.islice(pairs.pixels(), count)))
    cosines = (unit[pairs.left[:15]] * unit[pairs.right[:15]]).sum(1)
    assert pairs.same[:15].all() and np.sum(cosines > 0.25) >= 14
