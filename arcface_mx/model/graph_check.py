"""Check the JSON of a graph before MXNet reads it, because MXNet trusts what it reads.

A `-symbol.json` can name an operator that takes a memory address (`_Native`), reads files
(`_cvimread`) or runs Python (`Custom`). It can refer to nodes and outputs that do not exist, leave
inputs out, divide by a stride of 0 or ask for terabytes. What no embedding network has is refused
here. `trial.py` then tries the graph in a process of its own.
"""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, Set

from arcface_mx.model.node_check import (
    MAX_VALUES,
    InvalidGraph,
    check_attributes,
    check_inputs,
    check_variables,
    num_outputs,
)
from arcface_mx.model.operators import operators

MAX_BYTES, MAX_NODES = 1 << 26, 1 << 16


def check_graph(raw: bytes) -> str:
    """Return the graph's JSON as text. Raises InvalidGraph if MXNet must not read it."""
    if len(raw) > MAX_BYTES:
        raise InvalidGraph(f"{len(raw)} bytes are too many for a graph")
    try:
        text = raw.decode("utf-8")
        graph = json.loads(text)
    except RecursionError:
        raise InvalidGraph("it is nested too deeply") from None
    except ValueError as error:
        raise InvalidGraph(f"it is not JSON: {error}") from None
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list) or not 0 < len(nodes) <= MAX_NODES:
        raise InvalidGraph("it has no list of nodes")
    outputs: List[int] = []
    names = set()
    variables: Set[int] = set()
    for number, node in enumerate(nodes):
        outputs.append(_check_node(number, node, outputs, variables))
        if node["op"] == "null" and node["name"] in names:
            raise InvalidGraph(f"two inputs have the name {node['name']!r:.60}")
        names.add(node["name"])
    heads = graph.get("heads")
    if not isinstance(heads, list) or not heads:
        raise InvalidGraph("it has no heads")
    for head in heads:
        _check_entry("its heads", head, outputs)
    _check_node_numbers(graph, outputs)
    return text


def check_output_sizes(shapes: List[Any], names: List[str]) -> None:
    """Raise InvalidGraph if a layer, of `names`, has an output that is too large for one image."""
    for name, shape in zip(names, shapes):
        if math.prod(max(0, length) for length in shape) > MAX_VALUES:
            raise InvalidGraph(f"the output of {name} has shape {shape} for one image: more than {MAX_VALUES} values")


def _check_node(number: int, node: Any, outputs: List[int], variables: Set[int]) -> int:
    """Return the number of outputs of a node, whose inputs must be outputs of nodes before it.

    `variables` are the numbers of the nodes before it that are inputs of the graph; a variable is added.
    """
    if not isinstance(node, dict) or not isinstance(node.get("name"), str) or not isinstance(node.get("op"), str):
        raise InvalidGraph(f"node {number} has no name or no operator")
    name, operator = node["name"], node["op"]
    where = f"node {number} ({name:.60})"
    if "\0" in name or not name:
        raise InvalidGraph(f"node {number} has an impossible name")
    if operator != "null" and operator not in operators():
        raise InvalidGraph(f"{where}: the operator {operator!r:.60} is not one that an embedding network needs")
    if node.get("subgraphs") or node.get("control_deps"):
        raise InvalidGraph(f"{where} contains another graph")
    inputs = node.get("inputs")
    if not isinstance(inputs, list) or (operator == "null" and inputs):
        raise InvalidGraph(f"{where} has no list of inputs")
    for entry in inputs:
        _check_entry(where, entry, outputs)
    attributes: Dict[str, str] = {}
    for key in ("attrs", "attr", "param"):  # the names that versions of MXNet use
        part = node.get(key, {})
        if not isinstance(part, dict) or not all(isinstance(value, str) for value in part.values()):
            raise InvalidGraph(f"{where}: its attributes are not strings")
        if any(attributes.get(known, value) != value for known, value in part.items()):
            raise InvalidGraph(f"{where} states an attribute twice")
        attributes.update(part)
    check_attributes(where, operator, attributes)
    if operator == "null":
        variables.add(number)
        return 1
    check_inputs(where, operator, len(inputs), attributes)
    check_variables(where, operator, [entry[0] in variables for entry in inputs])
    return num_outputs(where, operator, attributes)


def _check_entry(where: str, entry: Any, outputs: List[int]) -> None:
    """Check that an entry [node, output] or [node, output, version] refers to an output."""
    valid = isinstance(entry, list) and 2 <= len(entry) <= 3 and all(type(n) is int and n >= 0 for n in entry)
    if not valid or entry[0] >= len(outputs) or entry[1] >= outputs[entry[0]]:
        raise InvalidGraph(f"{where}: the input {entry!r:.40} is not an output of a node before it")


def _check_node_numbers(graph: Dict[str, Any], outputs: List[int]) -> None:
    """Check the lists of node numbers that some versions of MXNet write beside the nodes."""
    for key, limit in (("arg_nodes", len(outputs)), ("node_row_ptr", sum(outputs) + len(outputs) + 1)):
        numbers = graph.get(key, [])
        if not isinstance(numbers, list) or not all(type(number) is int and 0 <= number < limit for number in numbers):
            raise InvalidGraph(f"its {key} do not match its nodes")
    if any(graph["nodes"][number]["op"] != "null" for number in graph.get("arg_nodes", [])):
        raise InvalidGraph("its arg_nodes are not inputs")
