"""A graph that MXNet must not read is refused, quickly and with a reason. (Fuzzing: tests/fuzz)"""

from __future__ import annotations

import json

import pytest

from arcface_mx.model.graph_check import InvalidGraph, check_graph
from tests.support import nets


def graph(**attributes):
    """Return a graph whose convolution has these attributes, as bytes."""
    stored = json.loads(nets.embedding((32, 32)).tojson())
    next(node for node in stored["nodes"] if node["op"] == "Convolution")["attrs"].update(attributes)
    return json.dumps(stored).encode()


@pytest.mark.parametrize("value", ["(3, 3)", "[3,3]", "(3L, 3L)", "(3,)", "3", "()"])
def test_ways_to_write_whole_numbers_are_accepted(value):
    assert json.loads(check_graph(graph(kernel=value)))


@pytest.mark.parametrize("value", ["(0, 3)", "(3, x)", "1" * 19, "(-1, 1)", "1.5", str(1 << 25)])
def test_other_values_are_refused(value):
    with pytest.raises(InvalidGraph, match="kernel is"):
        check_graph(graph(kernel=value))


def test_a_long_value_is_refused():
    """A pattern that tries every split of a million digits would not end."""
    with pytest.raises(InvalidGraph, match="kernel is"):
        check_graph(graph(kernel="1" * 1_000_000 + "x"))


def test_an_input_that_does_not_exist_is_named():
    stored = json.loads(graph())
    stored["nodes"][-1]["inputs"][0] = [10_000, 0, 0]
    with pytest.raises(InvalidGraph, match=r"\(fc1\): the input \[10000, 0, 0\] is not an output of a node before it"):
        check_graph(json.dumps(stored).encode())
