"""The combined margin: the graph of Algorithm 1, the clip, the policies, the ramp."""

from __future__ import annotations

import json
import math
from typing import Any, Dict, Tuple

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcface_mx.symbols import margin_logits
from arcface_mx.symbols.margin import CLIP, POLICIES
from tests.support import reference
from tests.support.graph import DTYPES, assert_close, operators, run
from tests.symbols.heads import MARGINS
from tests.symbols.test_heads import at_angles

EVERY_MARGIN = pytest.mark.parametrize("name", sorted(MARGINS))
THOUSANDTHS = [st.integers(low, high).map(lambda i: i / 1000) for low, high in ((500, 4000), (0, 3000), (-500, 500))]
MARGIN_NUMBERS = st.tuples(*THOUSANDTHS)


def graph(n: int, ramp: bool = False, **arguments: Any) -> mx.sym.Symbol:
    names = ("data", "label", "fc7_weight")
    data, label, weight = (mx.sym.Variable(name) for name in names)
    extra = {"ramp": mx.sym.Variable("ramp")} if ramp else {}
    return margin_logits(data, label, n, weight=weight, **extra, **arguments)


def by_name(m: Tuple[float, float, float]) -> Dict[str, Any]:
    return dict(zip(("m1", "m2", "m3"), m))


def test_literal_arcface_is_algorithm_1_node_for_node() -> None:
    """The JSON of the graph has the same operators, in the same order, with the same attributes and inputs."""
    nodes = json.loads(graph(7, literal=True, m2=0.5, scale=64.0).tojson())["nodes"]
    actual = [
        (node["op"], node.get("attrs", {}), [nodes[source]["name"] for source, _, _ in node["inputs"]])
        for node in nodes
        if node["op"] != "null"
    ]
    names = [node["name"] for node in nodes if node["op"] != "null"]
    x, W, fc7, original, theta, shifted, marginal, difference, column, one_hot, update, total, _ = names
    one_hot_of = {"depth": "7", "on_value": "1.0", "off_value": "0.0", "dtype": "float32"}
    assert actual == [
        ("L2Normalization", {"mode": "instance"}, ["data"]),  # line 1
        ("L2Normalization", {"mode": "instance"}, ["fc7_weight"]),  # line 2
        ("FullyConnected", {"no_bias": "True", "num_hidden": "7"}, [x, W]),  # line 3
        ("pick", {"axis": "1"}, [fc7, "label"]),  # line 4
        ("arccos", {}, [original]),  # line 5
        ("_plus_scalar", {"scalar": "0.5"}, [theta]),  # line 6
        ("cos", {}, [shifted]),  # line 6
        ("elemwise_sub", {}, [marginal, original]),  # line 8, its argument
        ("expand_dims", {"axis": "1"}, [difference]),  # line 8, its argument
        ("one_hot", one_hot_of, ["label"]),  # line 7
        ("broadcast_mul", {}, [column, one_hot]),  # line 8
        ("elemwise_add", {}, [fc7, update]),  # line 8
        ("_mul_scalar", {"scalar": "64.0"}, [total]),  # line 9
    ]


def test_literal_combined_margin_adds_a_product_and_a_difference_to_line_6() -> None:
    arcface = [operator for operator, _ in operators(graph(7, literal=True))]
    combined = [operator for operator, _ in operators(graph(7, literal=True, m1=0.9, m2=0.4, m3=0.15))]
    at = arcface.index("arccos") + 1
    assert combined == arcface[:at] + ["_mul_scalar", "_plus_scalar", "cos", "_minus_scalar"] + arcface[at + 2 :]


@EVERY_MARGIN
def test_default_graph_is_the_literal_one_and_a_clip(name: str) -> None:
    literal = [operator for operator, _ in operators(graph(7, literal=True, **by_name(MARGINS[name])))]
    default = [operator for operator, _ in operators(graph(7, **by_name(MARGINS[name])))]
    default.remove("clip")
    assert default == literal
    assert "clip" not in literal


def both(name: str, dtype: str, degrees: np.ndarray, policy: str = "none") -> Tuple[list, list]:
    """Outputs and gradients of the literal and the default graph on the same numbers."""
    x, w, label = at_angles(degrees, n=5, d=8)
    inputs = {"data": x, "fc7_weight": w, "label": label}
    cotangent = np.random.RandomState(5).randn(len(x), len(w))
    results = []
    for arguments in ({"literal": True}, {"policy": policy}):
        symbol = graph(5, dtype=dtype, **by_name(MARGINS[name]), **arguments)
        outputs, gradients = run(symbol, inputs, dtype, cotangent)
        results.append([outputs[0], gradients["data"], gradients["fc7_weight"]])
    return results[0], results[1]


@EVERY_MARGIN
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("policy", POLICIES)
def test_default_equals_literal_bit_for_bit_inside_the_clip(name: str, dtype: str, policy: str) -> None:
    m1, m2, _ = MARGINS[name]
    # "none" never differs from the literal graph; the others only beyond π, or beyond 90°.
    last = {"none": 179.0, "linear": min(179.0, math.degrees((math.pi - m2) / m1) - 0.1), "easy_margin": 89.9}[policy]
    literal, default = both(name, dtype, np.linspace(1.0, last, 40), policy)
    for one, other in zip(literal, default):
        assert np.isfinite(one).all()
        assert (one == other).all()


def test_literal_graph_is_not_finite_along_class_centres_and_the_default_is() -> None:
    """The reason for the clip. If this test fails, MXNet has changed and the clip can be removed."""
    w = np.random.RandomState(6).randn(64, 32)
    inputs = {"data": w, "fc7_weight": w, "label": np.arange(64)}
    for literal in (True, False):
        outputs, gradients = run(graph(64, literal=literal), inputs, "float32")
        finite = [np.isfinite(array).all() for array in [outputs[0], *gradients.values()]]
        assert finite == [not literal] * 3


def curve(degrees: np.ndarray, dtype: str, **arguments: Any) -> np.ndarray:
    """Target logits at scale 1 as a function of the angle: one class, two dimensions."""
    angle = np.radians(degrees)
    inputs = {
        # The embedding is long, so that the 1e-10 in L2Normalization is negligible.
        "data": 100.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1),
        "fc7_weight": np.array([[100.0, 0.0]]),
        "label": np.zeros(len(angle)),
    }
    return run(graph(1, scale=1.0, dtype=dtype, **arguments), inputs, dtype, train=False)[0][0][:, 0]


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=25, derandomize=True, deadline=None)
@given(MARGIN_NUMBERS)
def test_target_logit_falls_with_angle_under_policy_linear(dtype: str, m: Tuple[float, float, float]) -> None:
    logits = curve(np.linspace(0.0, 180.0, 721), dtype, policy="linear", **by_name(m))
    assert np.diff(logits).max() <= {"float32": 1e-6, "float64": 1e-9}[dtype]
    assert logits[0] > logits[-1] + 0.9


@EVERY_MARGIN
@pytest.mark.parametrize("policy", POLICIES)
def test_target_curve_equals_formula(name: str, policy: str) -> None:
    degrees = np.linspace(0.5, 179.5, 180)
    m1, m2, m3 = MARGINS[name]
    expected = [reference.target_curve(math.cos(t), m1, m2, m3, policy) for t in np.radians(degrees)]
    assert_close(curve(degrees, "float64", policy=policy, m1=m1, m2=m2, m3=m3), np.array(expected), 1e-8)


def test_policy_linear_continues_arcface_as_cos_minus_m_sin_m() -> None:
    logits = curve(np.array([160.0, 175.0]), "float64", policy="linear", m2=0.5)
    assert logits == pytest.approx(np.cos(np.radians([160.0, 175.0])) - 0.5 * math.sin(0.5), abs=1e-9)


def test_curve_without_policy_rises_beyond_pi() -> None:
    logits = curve(np.array([140.0, 151.3, 179.0]), "float64", m2=0.5)
    assert logits[1] < logits[0] and logits[2] > logits[1] + 0.1


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=10, derandomize=True, deadline=None)
@given(MARGIN_NUMBERS, st.integers(0, 10**6))
def test_ramp_blends_the_margins_of_each_sample(policy: str, m: Tuple[float, float, float], seed: int) -> None:
    x, w, label = at_angles(np.linspace(3.0, 177.0, 12), seed=seed)
    ramp = np.random.RandomState(seed).uniform(0, 1, len(x))
    ramp[:2] = 0.0, 1.0
    cotangent = np.random.RandomState(seed).randn(len(x), len(w))
    inputs = {"data": x, "fc7_weight": w, "label": label, "ramp": ramp}
    symbol = graph(len(w), ramp=True, scale=8.0, policy=policy, dtype="float64", **by_name(m))
    outputs, gradients = run(symbol, inputs, "float64", cotangent)

    def logits(a: np.ndarray) -> np.ndarray:
        return reference.margin_logits(a, w, label, scale=8.0, policy=policy, clip=CLIP, ramp=ramp, **by_name(m))

    assert_close(outputs[0], logits(x), 1e-8)
    assert_close(gradients["data"], reference.gradient(logits, [x], cotangent)[0], 1e-6)


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=12, derandomize=True, deadline=None)
@given(MARGIN_NUMBERS, st.data())
def test_random_margins_scales_and_shapes(policy: str, m: Tuple[float, float, float], data: st.DataObject) -> None:
    samples, n, d = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 6)), data.draw(st.integers(2, 9))
    scale, dtype = data.draw(st.integers(1, 128)), data.draw(st.sampled_from(DTYPES))
    literal = policy == "none" and data.draw(st.booleans())
    random = np.random.RandomState(data.draw(st.integers(0, 10**6)))
    x, w, label = at_angles(random.uniform(10.0, 170.0, samples), n, d, seed=random.randint(10**6))
    cotangent = random.randn(samples, n)
    symbol = graph(n, scale=scale, policy=policy, literal=literal, dtype=dtype, **by_name(m))
    outputs, gradients = run(symbol, {"data": x, "fc7_weight": w, "label": label}, dtype, cotangent)

    def logits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return reference.margin_logits(a, b, label, scale=scale, policy=policy, **by_name(m))

    tolerance = {"float32": 1e-4, "float64": 1e-8}[dtype]
    slopes = reference.gradient(logits, [x, w], cotangent)
    assert_close(outputs[0], logits(x, w), tolerance, "logits")
    assert_close(gradients["data"], slopes[0], tolerance, "gradient of the embedding")
    assert_close(gradients["fc7_weight"], slopes[1], tolerance, "gradient of the centres")


@EVERY_MARGIN
@pytest.mark.parametrize("policy", POLICIES)
def test_finite_where_angle_and_margin_make_pi(name: str, policy: str) -> None:
    """On both sides of θ = (π − m2)/m1, and as near to it as float32 comes."""
    m1, m2, _ = MARGINS[name]
    start = min(180.0, math.degrees((math.pi - m2) / m1))
    x, w, label = at_angles(start + np.array([-1e-2, -1e-4, 0.0, 1e-4, 1e-2]))
    symbol = graph(len(w), policy=policy, **by_name(MARGINS[name]))
    outputs, gradients = run(symbol, {"data": x, "fc7_weight": w, "label": label})
    assert all(np.isfinite(array).all() for array in [outputs[0], *gradients.values()])
    assert np.abs(outputs[0]).max() < 64.0 * 2.5


def test_no_gradient_is_lost_through_the_margin() -> None:
    """At θ = 0.8, s = 64, m = 0.5 the slope is 64·sin 1.3/sin 0.8 = 85.97, not 64."""
    x, w = np.array([[math.cos(0.8), math.sin(0.8)]]), np.array([[1.0, 0.0]])
    symbol = graph(1, dtype="float64")
    _, gradients = run(symbol, {"data": x, "fc7_weight": w, "label": np.zeros(1)}, "float64")
    along_centre = gradients["data"][0] @ (np.array([1.0, 0.0]) - math.cos(0.8) * x[0]) / math.sin(0.8) ** 2
    assert along_centre == pytest.approx(85.97, abs=0.01)


def test_cosines_have_stable_names() -> None:
    names = graph(5).get_internals().list_outputs()
    assert "cosine_output" in names and "target_cosine_output" in names


def test_weight_is_made_with_the_width_of_the_embedding() -> None:
    data, label = mx.sym.Variable("data"), mx.sym.Variable("label")
    embedding = mx.sym.BatchNorm(mx.sym.FullyConnected(data, num_hidden=12, name="pre"), name="fc1")
    head = margin_logits(embedding, label, 9)
    shapes, _, _ = head.infer_shape(data=(2, 30), label=(2,))
    assert dict(zip(head.list_arguments(), shapes))["fc7_weight"] == (9, 12)
    with pytest.raises(ValueError, match="weight"):
        margin_logits(mx.sym.relu(embedding), label, 9)


@pytest.mark.parametrize(
    "argument, value",
    [
        ("num_classes", 0),
        ("num_classes", 2.5),
        ("scale", 0.0),
        ("scale", math.inf),
        ("m1", 0.0),
        ("m2", -0.1),
        ("m2", 3.2),
        ("m3", math.nan),
        ("policy", "hard"),
        ("dtype", "float16"),
    ],
)
def test_wrong_number_is_named(argument: str, value: object) -> None:
    arguments: Dict[str, Any] = {"num_classes": 3, argument: value}
    n = arguments.pop("num_classes")
    with pytest.raises(ValueError, match=argument):
        graph(n, **arguments)


def test_literal_takes_neither_policy_nor_ramp() -> None:
    with pytest.raises(ValueError, match="literal"):
        graph(3, literal=True, policy="linear")
    with pytest.raises(ValueError, match="literal"):
        graph(3, literal=True, ramp=True)


def test_the_clip_stands_for_less_than_a_thirtieth_of_a_degree() -> None:
    assert CLIP == 1.1920928955078125e-07 and math.degrees(math.acos(1.0 - CLIP)) < 1 / 30
