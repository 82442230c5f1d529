"""Nodes are checked against MXNet's own descriptions of its operators."""

from __future__ import annotations

import json

import pytest

from arcface_mx.model import operators
from arcface_mx.model.graph_check import InvalidGraph, check_graph

VALUES = {"int": "1", "long": "1", "boolean": "0", "float": "1", "double": "1", "Shape": "(1, 1)", "string": "cpu(0)"}
FIXED = {"_split_v2": {"indices": "(0, 1)"}, "Pad": {"pad_width": "(0, 0)"}, "Deconvolution": {"no_bias": "0"}}


def graph(name, inputs, attributes):
    """Return a graph whose last node is an operator with that many inputs."""
    nodes = [{"op": "null", "name": f"x{number}", "inputs": []} for number in range(max(inputs, 1))]
    entries = [[number, 0, 0] for number in range(inputs)]
    nodes.append({"op": name, "name": "node", "inputs": entries, "attrs": attributes})
    return json.dumps({"nodes": nodes, "heads": [[len(nodes) - 1, 0, 0]]}).encode()


def value(kind):
    """Return a valid value of a type as MXNet describes it."""
    if kind.startswith("{"):
        return kind.partition("}")[0].split("'")[1]
    return next(text for start, text in VALUES.items() if kind.startswith(start))


def required(name):
    operator = operators.operators()[name]
    wanted = {key: value(kind) for key, kind in operator.attributes.items() if "required" in kind}
    wanted.update(FIXED.get(name, {}))
    if name == "LeakyReLU":
        wanted["act_type"] = "prelu"
    if name == "_contrib_BilinearResize2D":
        wanted["mode"] = "like"
    count = len(operator.inputs)
    if name in ("softmax", "log_softmax", "softmin"):
        wanted["use_length"] = "True"
    return wanted, count


def test_the_table_is_that_of_the_installed_mxnet():
    with open(operators.PATH, encoding="utf-8") as stream:
        assert json.load(stream) == operators.describe()


@pytest.mark.parametrize("name", sorted(operators.NAMES))
def test_inputs_and_required_attributes_are_checked(name):
    attributes, count = required(name)
    assert check_graph(graph(name, count, attributes))
    for wrong in (count - 1, count + 1):
        if wrong >= 0 and not (operators.operators()[name].variadic and "num_args" not in attributes and wrong):
            with pytest.raises(InvalidGraph, match=f"{name} has {wrong} inputs"):
                check_graph(graph(name, wrong, attributes))
    for key, kind in operators.operators()[name].attributes.items():
        if "required" in kind:
            with pytest.raises(InvalidGraph):
                check_graph(graph(name, count, {other: text for other, text in attributes.items() if other != key}))
        for text in ("x", "", "nan", "99999999999999999999", "1" * 5000, "\0"):
            is_empty = not text and kind.startswith(("Shape", "string"))  # () and no device
            if is_empty or (text[:1] == "9" and kind.startswith(("float", "double"))):
                continue
            with pytest.raises(InvalidGraph):
                check_graph(graph(name, count, {**attributes, key: text}))


CRASHES = {
    "take with one input": graph("take", 1, {}),
    "no groups": graph("GroupNorm", 3, {"num_groups": "0"}),
    "an axis split into nothing": graph("reshape", 1, {"shape": "(0,-4,-1,0,-2)"}),
    "a split without lengths": graph("Reshape", 1, {"shape": "(0, -4, 2)"}),
    "too many outputs": graph("SliceChannel", 1, {"num_outputs": "65536", "axis": "1"}),
    "an axis that no array has": graph("SliceChannel", 1, {"num_outputs": "2", "axis": "2147483647"}),
    "a step of 0": graph("slice", 1, {"begin": "(0,)", "end": "(1,)", "step": "(0,)"}),
    "an array of 2^40 values": graph("_zeros", 0, {"shape": "(1048576, 1048576)"}),
    "a variable of 2^40 values": json.dumps(
        {
            "nodes": [{"op": "null", "name": "x", "inputs": [], "attrs": {"__shape__": "(1048576, 1048576)"}}],
            "heads": [[0, 0, 0]],
        }
    ).encode(),
    "an attribute with two values": graph("GroupNorm", 3, {"num_groups": "1"}).replace(
        b'"attrs"', b'"param": {"num_groups": "0"}, "attrs"'
    ),
}


@pytest.mark.parametrize("case", sorted(CRASHES))
def test_what_ends_or_stops_mxnet_is_refused(case):
    with pytest.raises(InvalidGraph, match=r"node \d"):
        check_graph(CRASHES[case])


@pytest.mark.parametrize(
    "name, count, attributes",
    [
        ("slice", 1, {"begin": "(None, 0)", "end": "(None, 9223372036854775807)", "step": "(-1, 1)"}),
        ("slice_axis", 1, {"axis": "-1", "begin": "0", "end": "None"}),
        ("reshape", 1, {"shape": "(0, -4, -1, 2, -2)"}),
        ("clip", 1, {"a_min": "-inf", "a_max": "3.4e+38"}),
        ("Convolution", 2, {"kernel": "(3L, 3L)", "num_filter": "4", "no_bias": "True", "workspace": "1024"}),
        ("BatchNorm", 3, {"eps": "2e-05"}),  # written before version 0.9
        ("LeakyReLU", 1, {"act_type": "elu"}),
        ("UpSampling", 2, {"scale": "2", "sample_type": "bilinear", "num_args": "2", "num_filter": "0"}),
        ("mean", 1, {"axis": "None"}),
    ],
)
def test_what_networks_contain_is_accepted(name, count, attributes):
    assert check_graph(graph(name, count, attributes))
