"""One battery over every registered loss: settings, flags, schedule, and that each setting reaches the graph."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.config import GROUPS, TrainConfig, differences, from_flat, from_json, to_flat, to_json
from arcface_mx.flags import add_config_flags, given_values
from arcface_mx.losses import LOSSES
from arcface_mx.losses.graph import training_graph, use_native
from arcface_mx.parallel.graphs import own_centre_graph, shard_graph
from arcface_mx.symbols.centres import own_centres
from arcface_mx.util.errors import UserError
from tests.support.graph import executed

SETTINGS = [(name, entry.name) for name, kind in LOSSES.items() for entry in dataclasses.fields(kind)]
# Settings that the trainer reads instead of the graph.
NOT_IN_THE_GRAPH = {"bag", "head", "sample_rate"}
NOT_IN_THE_GRAPH |= {"lambda_base", "lambda_gamma", "lambda_power", "lambda_min", "lambda_ramp"}
NEEDS = {  # what must be set as well for the setting to have an effect
    "triplet_margin": {"triplet_weight": 1.0},
    "mining": {"triplet_weight": 1.0},
}


def other_value(entry):
    """An allowed value that differs from the default."""
    limits, default = entry.metadata, entry.default
    if isinstance(default, bool):
        return not default
    if limits["choices"]:
        return limits["choices"][-1] if limits["choices"][-1] != default else limits["choices"][0]
    if isinstance(default, int):
        return default + 1 if default < limits["high"] else default - 1
    return default + 0.125 if default + 0.125 <= limits["high"] else default - 0.125


def field(name, setting):
    return LOSSES[name].__dataclass_fields__[setting]


def graph(loss):
    with mx.name.NameManager():
        embedding = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=8, name="fc1")
        return training_graph(embedding, loss, 5).symbol.tojson()


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_documented_and_its_names_are_its_own(name):
    kind = LOSSES[name]
    assert kind.name == name and kind.summary and not kind.summary.endswith(".")
    others = {entry.name for group in GROUPS.values() for entry in dataclasses.fields(group)} | {"loss", "name"}
    for entry in dataclasses.fields(kind):
        assert entry.name not in others and len(entry.metadata["help"]) > 10, entry.name
        assert f"{entry.name} : {type(entry.default).__name__}" in kind.__doc__


@pytest.mark.parametrize("name, setting", SETTINGS)
def test_every_setting_is_a_flag_and_survives_the_configuration_file(name, setting):
    value = other_value(field(name, setting))
    parser = argparse.ArgumentParser()
    add_config_flags(parser, LOSSES[name])
    flag = "--" + setting.replace("_", "-")
    words = [flag] if value is True else [f"{flag}={value}"]
    config = from_flat(given_values(parser.parse_args(["--loss", name, *words])))
    assert getattr(config.loss, setting) == value and type(config.loss) is LOSSES[name]
    assert from_json(to_json(config), "config.json") == config
    assert differences(from_flat({"loss": name}), config) == {setting: (field(name, setting).default, value)}


@pytest.mark.parametrize("name, setting", [(n, s) for n, s in SETTINGS if s not in NOT_IN_THE_GRAPH])
def test_every_setting_reaches_the_graph(name, setting):
    needs = {key: value for key, value in NEEDS.get(setting, {}).items() if key in LOSSES[name].__dataclass_fields__}
    value = other_value(field(name, setting))
    assert graph(LOSSES[name](**needs)) != graph(LOSSES[name](**{**needs, setting: value}))


@pytest.mark.parametrize("name, setting", [(n, s) for n, s in SETTINGS if "lambda" in s or s == "margin_ramp"])
def test_every_setting_of_a_schedule_reaches_it(name, setting):
    value = other_value(field(name, setting))
    if setting == "lambda_min":
        value = 500.0
    plain, changed = LOSSES[name](), LOSSES[name](**{setting: value})
    assert any(plain.scheduled(step, 1000) != changed.scheduled(step, 1000) for step in range(0, 1000, 10))


@pytest.mark.parametrize("steps", [1, 2, 30, 700, 32000])
def test_lambda_falls_from_its_base_and_ends_with_its_ramp(steps):
    loss = LOSSES["a_softmax"](lambda_ramp=0.4)
    values = [loss.scheduled(step, steps)["lambda"] for step in range(steps)]
    last = round(0.4 * steps)
    assert values[0] == (1000.0 if last else 5.0) and set(values[last:]) == {5.0}
    assert all(before > after for before, after in zip(values[:last], values[1 : last + 1]))
    # The same form as the schedule of SphereFace: a straight line over the steps in 1/lambda.
    inverse = np.reciprocal(values[: last + 1])
    assert len(inverse) < 3 or np.allclose(np.diff(inverse), inverse[1] - inverse[0], rtol=1e-6)


def test_a_lambda_without_an_end_is_refused():
    with pytest.raises(UserError, match="`lambda_ramp` needs `lambda_min`"):
        LOSSES["a_softmax"](lambda_ramp=0.4, lambda_min=0.0)


@pytest.mark.parametrize("name", LOSSES)
def test_scheduled_inputs_are_inputs_of_the_graph_and_have_a_value(name):
    for settings in ({}, {"margin_ramp": 0.5}):
        if set(settings) - set(LOSSES[name].__dataclass_fields__):
            continue
        loss = LOSSES[name](**settings)
        built = training_graph(mx.sym.Variable("data", shape=(4, 8)), loss, 5)
        assert set(built.scheduled) <= set(loss.scheduled(0, 100))
        assert set(built.scheduled) == set(built.symbol.list_arguments()) & {"margin_ramp", "lambda"}


@pytest.mark.parametrize("name, setting", SETTINGS)
def test_a_value_out_of_range_is_refused_by_name(name, setting):
    entry = field(name, setting)
    if entry.metadata["choices"]:
        bad = "nonsense"
    elif entry.metadata["low"] is not None:
        bad = entry.metadata["high"] + 1
    else:
        pytest.skip("a switch has no range")
    with pytest.raises(UserError, match=f"^`{setting}` must"):
        LOSSES[name](**{setting: bad})


@pytest.mark.parametrize("name", [name for name, kind in LOSSES.items() if kind().centres_per_class])
@pytest.mark.parametrize("ramp", [0.0, 0.5])
def test_the_first_loss_is_the_expected_one(name, ramp):
    """Random embeddings and centres: the cross entropy lies near the announced value."""
    settings = {"scale": 16.0, "margin_ramp": ramp}
    loss = LOSSES[name](**{key: value for key, value in settings.items() if key in LOSSES[name].__dataclass_fields__})
    images, classes, width = 256, 400, 512
    built = training_graph(mx.sym.Variable("data", shape=(images, width)), loss, classes)
    executor = built.symbol.simple_bind(mx.cpu(), grad_req="null", label=(images,))
    random = np.random.RandomState(0)
    executor.arg_dict["data"][:] = random.normal(size=(images, width))
    for key, array in executor.arg_dict.items():
        if key == "fc7_weight":
            array[:] = random.normal(0, width**-0.5, array.shape)
    executor.arg_dict["label"][:] = random.randint(0, classes, images)
    for key, value in loss.scheduled(0, 100).items():
        if key in executor.arg_dict:
            executor.arg_dict[key][:] = value
    measured = executor.forward()[0].asnumpy().mean()
    assert measured == pytest.approx(loss.expected_first_loss(classes, width), rel=0.03)


def simulated_first_loss(classes, width, scale, m, images=3000):
    """ArcFace's mean cross entropy of random directions in float64, with new class centres every 100 images."""
    random, losses = np.random.RandomState(1), []
    for _ in range(images // 100):
        x, centres = random.normal(size=(100, width)), random.normal(size=(classes, width))
        cosines = (x @ centres.T) / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(centres, axis=1)
        target = np.cos(np.arccos(cosines[:, 0]) + m)
        others = np.logaddexp.reduce(scale * cosines[:, 1:], axis=1)
        losses.append(np.logaddexp(others, scale * target) - scale * target)
    return np.mean(losses)


@pytest.mark.parametrize("m", [0.0, 0.5])
@pytest.mark.parametrize(
    "classes, width, scale", [(2, 16, 8), (5, 128, 64), (30, 128, 32), (30, 128, 64), (30, 512, 64), (1000, 128, 32)]
)
def test_the_first_loss_is_right_to_3_percent_also_for_few_classes(classes, width, scale, m):
    expected = LOSSES["arcface"](scale=scale, m=m).expected_first_loss(classes, width)
    assert expected == pytest.approx(simulated_first_loss(classes, width, scale, m), rel=0.03)


def test_known_first_losses():
    """From a simulation with whole matrices of centres, without this code."""
    norm_softmax = LOSSES["norm_softmax"]
    assert norm_softmax(scale=64.0).expected_first_loss(10572, 512) == pytest.approx(13.20, rel=0.005)
    assert norm_softmax(scale=64.0).expected_first_loss(85742, 512) == pytest.approx(15.36, rel=0.005)
    assert norm_softmax(scale=32.0).expected_first_loss(30, 128) == pytest.approx(6.51, rel=0.02)
    assert norm_softmax().expected_first_loss(1, 128) == 0.0


def test_terms_count_in_the_first_loss():
    plain, arcface = LOSSES["arcface"]().expected_first_loss(50, 64), LOSSES["arcface"]
    assert arcface(intra_weight=2.0).expected_first_loss(50, 64) == pytest.approx(plain + 1.0)
    assert arcface(inter_weight=1.0).expected_first_loss(50, 64) == pytest.approx(plain - 0.5)
    assert arcface(triplet_weight=1.0, triplet_margin=0.3).expected_first_loss(50, 64) == pytest.approx(plain + 0.3)


@pytest.mark.parametrize("name", [name for name, kind in LOSSES.items() if kind().centres_per_class])
def test_the_log_adds_no_backward_operator_and_no_argmax_over_classes(name):
    loss = LOSSES[name]()
    data = mx.sym.Variable("data", shape=(4, 8))
    built = training_graph(mx.sym.FullyConnected(data, num_hidden=6, name="fc1"), loss, 5)
    inputs = {key: (4,) for key in ("label", *built.scheduled)}
    operators = executed(built.symbol, ["data", *inputs], **inputs)
    added = operators - executed(built.symbol[0], ["data", *inputs], **inputs)
    assert "max" in added and not [key for key in added if "backward" in key or "zeros" in key]
    assert "argmax" not in operators


def test_the_gradient_of_own_centres_is_not_that_of_take():
    """On GPUs that one lacks a barrier between samples; on a CPU both have the same bits."""
    loss = LOSSES["arcface"](intra_weight=1.0, inter_weight=1.0)
    data = mx.sym.Variable("data", shape=(4, 8))
    whole = training_graph(mx.sym.FullyConnected(data, num_hidden=6, name="fc1"), loss, 5).symbol
    split = shard_graph(loss, 5, 4, 8).symbol
    label = {"label": (4,)}
    for graph, inputs in ((whole, label), (split, label), (own_centre_graph((5, 8)), {**label, "inside": (4,)})):
        operators = executed(graph, list(inputs), **inputs)
        assert "_backward_Embedding" in operators and "_backward_take" not in operators
    taken, weight, gradient = [], np.random.RandomState(0).normal(size=(5, 8)), np.random.RandomState(1)
    heads = gradient.normal(size=(6, 8))
    for shape in ((5, 8), None):
        centre = own_centres(mx.sym.Variable("weight", **({"shape": shape} if shape else {})), mx.sym.Variable("label"))
        arrays = {"weight": mx.nd.array(weight), "label": mx.nd.array([0, 4, -1, 4, 2, 0])}
        executor = centre.bind(mx.cpu(), arrays, {"weight": mx.nd.zeros((5, 8))}, {"weight": "write", "label": "null"})
        taken.append(executor.forward(is_train=True)[0].asnumpy())
        executor.backward(mx.nd.array(heads))
        taken.append(executor.grad_dict["weight"].asnumpy())
    for one, other in zip(taken[:2], taken[2:]):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", [name for name, kind in LOSSES.items() if kind().centres_per_class])
def test_the_log_adds_no_backward_operator_to_a_shard(name):
    graph = shard_graph(LOSSES[name](), 5, 4, 8)
    inputs = [key for key in graph.symbol.list_arguments() if key not in graph.parameters and key != "embedding"]
    internals = graph.symbol.get_internals()
    rows = mx.sym.stack(*[internals[key] for key in _rows(graph)[:2]], axis=0)
    added = executed(graph.symbol, inputs) - executed(rows, inputs)
    assert "max" in added and not [key for key in added if "backward" in key or "zeros" in key]
    assert "argmax" not in added


def _rows(graph):
    """The outputs that a shard stacks, in their order."""
    nodes = json.loads(graph.symbol.tojson())["nodes"]
    return [nodes[entry[0]]["name"] + "_output" for entry in nodes[-1]["inputs"]]


def test_cross_entropy_has_no_first_loss_without_classes():
    assert LOSSES["triplet"]().expected_first_loss(100, 512) is None


def test_the_native_head_is_used_only_if_it_is_asked_for_and_possible():
    arcface = LOSSES["arcface"]
    assert not use_native(arcface(), "") and not use_native(LOSSES["softmax"](), "")
    assert not use_native(arcface(head="auto"), "it runs on the CPU")
    with pytest.raises(UserError, match="`head` native: it runs on the CPU"):
        use_native(arcface(head="native"), "it runs on the CPU")
    with pytest.raises(UserError, match="Algorithm 1"):
        use_native(arcface(head="native", literal=True), "")


@pytest.mark.parametrize("name", LOSSES)
def test_centre_parallel_takes_the_losses_with_class_centres(name):
    loss = LOSSES[name]()
    if loss.centres_per_class:
        shapes = shard_graph(loss, 6, 4, 8).parameters
        assert shapes["fc7_weight"] == (6 * loss.centres_per_class, 8)
    else:
        with pytest.raises(UserError, match=f"the loss {name} has none"):
            shard_graph(loss, 6, 4, 8)


def test_special_cases_of_the_combined_margin():
    assert {name: LOSSES[name]().margins for name in ("arcface", "cosface", "sphereface", "cm1", "cm2")} == {
        "arcface": (1.0, 0.5, 0.0),
        "cosface": (1.0, 0.0, 0.35),
        "sphereface": (1.35, 0.0, 0.0),
        "cm1": (1.0, 0.3, 0.2),
        "cm2": (0.9, 0.4, 0.15),
    }
    assert LOSSES["arcface"](m=0.5).last_angle == pytest.approx(math.pi - 0.5)


def test_the_default_loss_is_arcface():
    assert to_flat(TrainConfig())["loss"] == "arcface" and from_flat({}) == TrainConfig()
