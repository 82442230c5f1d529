"""Look at a graph's JSON before MXNet does: its reader and its shape inference trust what they are given.

A `-symbol.json` can name an operator that takes a memory address (`_Native`), reads files
(`_cvimread`) or runs Python (`Custom`), can point at nodes and outputs that do not exist, divide by a
stride of 0 or ask for terabytes. Refused here is what no embedding network has.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List

MAX_BYTES, MAX_NODES, MAX_VALUES = 1 << 26, 1 << 16, 1 << 28

# Operators that networks, losses and exporters of this field use; none calls back or reads files.
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
# Outputs of operators that have more than one; others have one.
OUTPUTS = {
    "BatchNorm": 3,
    "BatchNorm_v1": 3,
    "Dropout": 2,
    "LayerNorm": 3,
    "GroupNorm": 3,
    "InstanceNorm": 3,
    "LRN": 2,
    "L2Normalization": 2,
    "LeakyReLU": 2,
    "Pooling": 2,
    "moments": 2,
    "topk": 2,
}
POSITIVE = (
    "kernel",
    "stride",
    "dilate",
    "num_filter",
    "num_group",
    "num_hidden",
    "num_outputs",
    "block_size",
    "factor",
    "scale_size",
)
AT_LEAST_0 = ("pad", "adj")
LARGEST = 1 << 24


class InvalidGraph(Exception):
    """Why a graph is refused."""


def check_graph(raw: bytes) -> str:
    """The graph's JSON as text. Raises InvalidGraph where MXNet should not see it."""
    if len(raw) > MAX_BYTES:
        raise InvalidGraph(f"{len(raw)} bytes are too many for a graph")
    try:
        text = raw.decode("utf-8")
        graph = json.loads(text)
    except RecursionError:
        raise InvalidGraph("it is nested too deeply") from None
    except ValueError as error:
        raise InvalidGraph(f"it is no JSON: {error}") from None
    if (
        not isinstance(graph, dict)
        or not isinstance(graph.get("nodes"), list)
        or not 0 < len(graph["nodes"]) <= MAX_NODES
    ):
        raise InvalidGraph("it holds no list of nodes")
    outputs: List[int] = []
    names = set()
    for number, node in enumerate(graph["nodes"]):
        outputs.append(_check_node(number, node, outputs))
        if node["op"] == "null" and node["name"] in names:
            raise InvalidGraph(f"two inputs are called {node['name']!r:.60}")
        names.add(node["name"])
    heads = graph.get("heads")
    if not isinstance(heads, list) or not heads:
        raise InvalidGraph("it has no heads")
    for head in heads:
        _check_entry("its heads", head, outputs)
    _check_numbers(graph, outputs)
    return text


def _check_node(number: int, node: Any, outputs: List[int]) -> int:
    """Number of outputs of a node whose inputs all stand before it."""
    if not isinstance(node, dict) or not isinstance(node.get("name"), str) or not isinstance(node.get("op"), str):
        raise InvalidGraph(f"node {number} has no name or no operator")
    where = f"node {number} ({node['name']!s:.60})"
    if "\0" in node["name"] or not node["name"]:
        raise InvalidGraph(f"node {number} has an impossible name")
    if node["op"] not in OPERATORS:
        raise InvalidGraph(f"{where}: the operator {node['op']!r:.60} is not one that an embedding network needs")
    if node.get("subgraphs") or node.get("control_deps"):
        raise InvalidGraph(f"{where} holds another graph")
    inputs = node.get("inputs")
    if not isinstance(inputs, list) or (node["op"] == "null") != (not inputs) and node["op"] not in CREATORS:
        raise InvalidGraph(f"{where} has no list of inputs")
    for entry in inputs:
        _check_entry(where, entry, outputs)
    settings: Dict[str, str] = {}
    for key in ("attrs", "attr", "param"):
        part = node.get(key, {})
        if not isinstance(part, dict) or not all(isinstance(value, str) for value in part.values()):
            raise InvalidGraph(f"{where}: its settings are not texts")
        settings.update(part)
    _check_settings(where, settings)
    if node["op"] in ("SliceChannel", "split"):
        return _whole(where, "num_outputs", settings.get("num_outputs", ""))[0]
    if node["op"] == "_split_v2":
        sections = _numbers(settings.get("sections", "0"))
        return max(sections + [len(_numbers(settings.get("indices", "")))])
    return OUTPUTS.get(node["op"], 1)


CREATORS = ("_arange", "_eye", "_full", "_linspace", "_ones", "_zeros")


def _check_entry(where: str, entry: Any, outputs: List[int]) -> None:
    good = (
        isinstance(entry, list) and 2 <= len(entry) <= 3 and all(type(value) is int and value >= 0 for value in entry)
    )
    if not good or entry[0] >= len(outputs) or entry[1] >= outputs[entry[0]]:
        raise InvalidGraph(f"{where}: the input {entry!s:.40} is no output of a node before it")


def _check_settings(where: str, settings: Dict[str, str]) -> None:
    for key, value in settings.items():
        if key in POSITIVE or key in AT_LEAST_0:
            numbers = _whole(where, key, value)
            if any(number < (key in POSITIVE) or number > LARGEST for number in numbers):
                raise InvalidGraph(f"{where}: {key} is {value!s:.60}")
        elif any(len(digits) > 18 for digits in re.findall(r"(?<![.\d])\d+(?![.\d])", value)) and "." not in value:
            raise InvalidGraph(f"{where}: {key!s:.40} is {value!s:.60}")


def _whole(where: str, key: str, value: str) -> List[int]:
    if not re.fullmatch(r"[\s(\[]*(-?\d{1,18}[\sL,]*)*[\s)\]]*", value) or (
        key == "num_outputs" and len(_numbers(value)) != 1
    ):
        raise InvalidGraph(f"{where}: {key} is {value!r:.60}, not whole numbers")
    return _numbers(value)


def _numbers(value: str) -> List[int]:
    return [int(digits) for digits in re.findall(r"-?\d{1,18}", value)]


def _check_numbers(graph: Dict[str, Any], outputs: List[int]) -> None:
    """The lists of node numbers that some versions write beside the nodes."""
    for key, largest in (("arg_nodes", len(outputs) - 1), ("node_row_ptr", sum(outputs) + len(outputs))):
        numbers = graph.get(key, [])
        if not isinstance(numbers, list) or not all(type(value) is int and 0 <= value <= largest for value in numbers):
            raise InvalidGraph(f"its {key} do not belong to its nodes")
    if any(graph["nodes"][number]["op"] != "null" for number in graph.get("arg_nodes", [])):
        raise InvalidGraph("its arg_nodes are no inputs")


def check_extent(shapes: List[Any], names: List[str]) -> None:
    """Raise InvalidGraph where a layer's output for one image is too large; shapes: as inferred, by `names`."""
    for name, shape in zip(names, shapes):
        count = 1
        for side in shape:
            count *= max(0, side)
        if count > MAX_VALUES:
            raise InvalidGraph(f"the output of {name} has shape {shape} for one image: more than {MAX_VALUES} values")
