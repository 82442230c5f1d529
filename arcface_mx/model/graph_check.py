"""Check the JSON of a graph before MXNet reads it, because MXNet trusts what it reads.

A `-symbol.json` can name an operator that takes a memory address (`_Native`), reads files
(`_cvimread`) or runs Python (`Custom`). It can refer to nodes and outputs that do not exist, divide
by a stride of 0 or ask for terabytes. What no embedding network has is refused here.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Dict, List

MAX_BYTES, MAX_NODES, MAX_VALUES = 1 << 26, 1 << 16, 1 << 28

# Operators of the field's networks, losses and exporters. None reads files or calls Python.
OPERATORS = frozenset(
    """
null Activation BatchNorm BatchNorm_v1 BlockGrad Cast Concat Convolution Convolution_v1 Crop Deconvolution Dropout
ElementWiseSum Embedding Flatten FullyConnected GroupNorm InstanceNorm L2Normalization LRN LayerNorm LeakyReLU
LinearRegressionOutput LogisticRegressionOutput MAERegressionOutput MakeLoss Pad Pooling Pooling_v1 Reshape SVMOutput
SequenceMask SliceChannel Softmax SoftmaxActivation SoftmaxOutput SwapAxis UpSampling abs add_n arccos arcsin arctan
argmax argmin batch_dot broadcast_add broadcast_axes broadcast_axis broadcast_div broadcast_equal broadcast_greater
broadcast_greater_equal broadcast_lesser broadcast_lesser_equal broadcast_like broadcast_logical_and broadcast_maximum
broadcast_minimum broadcast_minus broadcast_mul broadcast_not_equal broadcast_plus broadcast_power broadcast_sub
broadcast_to cast ceil choose_element_0index clip concat cos degrees depth_to_space diag dot elemwise_add elemwise_div
elemwise_mul elemwise_sub erf exp expand_dims expm1 fill_element_0index flatten flip floor gather_nd gamma gammaln
hard_sigmoid identity khatri_rao log log10 log1p log2 log_softmax logical_not make_loss max max_axis mean min min_axis
moments nanprod nansum negative norm one_hot ones_like pad pick prod radians rcbrt reciprocal relu repeat reshape
reshape_like reverse rint round rsqrt scatter_nd shape_array sigmoid sign sin size_array slice slice_axis slice_like
smooth_l1 softmax softmax_cross_entropy softmin softsign sort argsort space_to_depth split sqrt square squeeze stack
stop_gradient sum sum_axis swapaxes take tan tanh tile topk transpose trunc where zeros_like sinh cosh ctc_loss
_Div _DivScalar _Equal _EqualScalar _Greater _GreaterEqualScalar _GreaterScalar _Greater_Equal _Lesser
_LesserEqualScalar _LesserScalar _Lesser_Equal _Maximum _MaximumScalar _Minimum _MinimumScalar _Minus _MinusScalar
_Mul _MulScalar _NotEqualScalar _Not_Equal _Plus _PlusScalar _Power _PowerScalar _RDivScalar _RMinusScalar
_RPowerScalar _add _arange _contrib_AdaptiveAvgPooling2D _contrib_BilinearResize2D _contrib_arange_like
_contrib_div_sqrt_dim _copy _div _div_scalar _equal _equal_scalar _eye _full _greater _greater_equal
_greater_equal_scalar _greater_scalar _grad_add _lesser _lesser_equal _lesser_equal_scalar _lesser_scalar
_linspace _maximum _maximum_scalar _minimum _minimum_scalar _minus _minus_scalar _mod _mod_scalar _mul _mul_scalar
_not_equal _not_equal_scalar _ones _plus _plus_scalar _power _power_scalar _rdiv_scalar _rminus_scalar
_rpower_scalar _split_v2 _sub _zeros
""".split()
)
# Number of outputs of the operators that have more than one.
OUTPUTS = {
    **dict.fromkeys(("BatchNorm", "BatchNorm_v1", "LayerNorm", "GroupNorm", "InstanceNorm"), 3),
    **dict.fromkeys(("Dropout", "LRN", "L2Normalization", "LeakyReLU", "Pooling", "moments", "topk"), 2),
}
# Operators that need no inputs, but may have some.
WITHOUT_INPUTS = {"_arange", "_eye", "_full", "_linspace", "_ones", "_zeros"}
# The least value of attributes that are whole numbers.
MINIMUM = {
    **dict.fromkeys(("kernel", "stride", "dilate", "num_filter", "num_group", "num_hidden", "num_outputs"), 1),
    **dict.fromkeys(("block_size", "factor", "scale_size"), 1),
    **dict.fromkeys(("pad", "adj"), 0),
}
MAX_ATTRIBUTE = 1 << 24


class InvalidGraph(Exception):
    """The reason why a graph is refused."""


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
    for number, node in enumerate(nodes):
        outputs.append(_check_node(number, node, outputs))
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


def _check_node(number: int, node: Any, outputs: List[int]) -> int:
    """Return the number of outputs of a node, whose inputs must be outputs of nodes before it."""
    if not isinstance(node, dict) or not isinstance(node.get("name"), str) or not isinstance(node.get("op"), str):
        raise InvalidGraph(f"node {number} has no name or no operator")
    name, operator = node["name"], node["op"]
    where = f"node {number} ({name:.60})"
    if "\0" in name or not name:
        raise InvalidGraph(f"node {number} has an impossible name")
    if operator not in OPERATORS:
        raise InvalidGraph(f"{where}: the operator {operator!r:.60} is not one that an embedding network needs")
    if node.get("subgraphs") or node.get("control_deps"):
        raise InvalidGraph(f"{where} contains another graph")
    inputs = node.get("inputs")
    if not isinstance(inputs, list) or (operator == "null") != (not inputs) and operator not in WITHOUT_INPUTS:
        raise InvalidGraph(f"{where} has no list of inputs")
    for entry in inputs:
        _check_entry(where, entry, outputs)
    attributes: Dict[str, str] = {}
    for key in ("attrs", "attr", "param"):  # the names that versions of MXNet use
        part = node.get(key, {})
        if not isinstance(part, dict) or not all(isinstance(value, str) for value in part.values()):
            raise InvalidGraph(f"{where}: its attributes are not strings")
        attributes.update(part)
    _check_attributes(where, attributes)
    if operator in ("SliceChannel", "split"):
        return _whole_numbers(where, "num_outputs", attributes.get("num_outputs", ""))[0]
    if operator == "_split_v2":
        sections = _numbers(attributes.get("sections", "0"))
        return max(sections + [len(_numbers(attributes.get("indices", "")))])
    return OUTPUTS.get(operator, 1)


def _check_entry(where: str, entry: Any, outputs: List[int]) -> None:
    """Check that an entry [node, output] or [node, output, version] refers to an output."""
    valid = isinstance(entry, list) and 2 <= len(entry) <= 3 and all(type(n) is int and n >= 0 for n in entry)
    if not valid or entry[0] >= len(outputs) or entry[1] >= outputs[entry[0]]:
        raise InvalidGraph(f"{where}: the input {entry!r:.40} is not an output of a node before it")


def _check_attributes(where: str, attributes: Dict[str, str]) -> None:
    for key, value in attributes.items():
        if key in MINIMUM:
            numbers = _whole_numbers(where, key, value)
            if any(not MINIMUM[key] <= number <= MAX_ATTRIBUTE for number in numbers):
                raise InvalidGraph(f"{where}: {key} is {value:.60}")
        elif any(len(digits) > 18 for digits in re.findall(r"(?<![.\d])\d+(?![.\d])", value)) and "." not in value:
            raise InvalidGraph(f"{where}: {key:.40} is {value:.60}")


def _whole_numbers(where: str, key: str, value: str) -> List[int]:
    parts = [part for part in re.split(r"[\sL,]+", value.strip("()[] \t\n")) if part]
    if not all(re.fullmatch(r"-?[0-9]{1,18}", part) for part in parts) or (key == "num_outputs" and len(parts) != 1):
        raise InvalidGraph(f"{where}: {key} is {value!r:.60}, not whole numbers")
    return [int(part) for part in parts]


def _numbers(value: str) -> List[int]:
    return [int(digits) for digits in re.findall(r"-?\d{1,18}", value)]


def _check_node_numbers(graph: Dict[str, Any], outputs: List[int]) -> None:
    """Check the lists of node numbers that some versions of MXNet write beside the nodes."""
    for key, limit in (("arg_nodes", len(outputs)), ("node_row_ptr", sum(outputs) + len(outputs) + 1)):
        numbers = graph.get(key, [])
        if not isinstance(numbers, list) or not all(type(number) is int and 0 <= number < limit for number in numbers):
            raise InvalidGraph(f"its {key} do not match its nodes")
    if any(graph["nodes"][number]["op"] != "null" for number in graph.get("arg_nodes", [])):
        raise InvalidGraph("its arg_nodes are not inputs")
