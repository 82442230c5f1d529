"""Where a graph's embedding is, which input is the image, and how large the image is."""

from __future__ import annotations

import contextlib
import io
import json
import re
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    import mxnet as mx

Size = Tuple[int, int]  # height, width in pixels

EMBEDDING_LAYER = "fc1"  # the field's name for it
INPUT_SIZE_ATTRIBUTE = "arcface_input_size"  # "H,W" on the image variable, written by export
# The sizes that are tried, in this order, where the graph does not state one.
SQUARE_SIZES = (64, 96, 128, 144, 160, 224, 56, 32, 48, 80, 256, 250, 299)
USUAL_SIZES: Tuple[Size, ...] = ((112, 112), (112, 96), *((side, side) for side in SQUARE_SIZES))
SOFTMAX = {"SoftmaxOutput", "Softmax", "softmax", "SoftmaxActivation", "log_softmax", "softmax_cross_entropy"}
LOSSES = SOFTMAX | {"MakeLoss", "make_loss", "LinearRegressionOutput", "LogisticRegressionOutput", "Custom"}
SCALINGS = {"L2Normalization", "_mul_scalar", "Dropout"}  # between embedding and classifier


def cut_at_embedding(
    symbol: mx.sym.Symbol, arg_params: Mapping[str, Any], layer: Optional[str], path: str
) -> Tuple[mx.sym.Symbol, str]:
    """Return the graph up to its embedding, and a line that says where it was cut, if it was.

    A graph with one output, no loss and no input but the image is taken as it is. Otherwise the
    parts for training (label inputs, losses, a classifier) are cut off after `fc1`, or before the
    classifier where there is no `fc1`. Raises UserError if `layer` does not exist or the embedding
    cannot be determined.
    """
    internals = symbol.get_internals()
    names = internals.list_outputs()
    if layer:
        name = layer if layer in names else layer + "_output"
        if name not in names:
            last = [output[: -len("_output")] for output in names if output.endswith("_output")][-6:]
            raise UserError(f"{path}: has no layer {layer}; its last layers are {', '.join(last)}")
        return internals[name], ""
    graph = json.loads(symbol.tojson())
    nodes, heads = graph["nodes"], graph["heads"]
    inputs = [name for name in symbol.list_arguments() if name not in arg_params]
    if len(heads) == 1 and nodes[heads[0][0]]["op"] not in LOSSES and len(inputs) == 1:
        return symbol, ""
    name = EMBEDDING_LAYER + "_output"
    if name not in names:
        name = _classifier_input(nodes, path)
    outputs = ", ".join(symbol.list_outputs()[:4])
    return internals[name], f"{path}: cut at {name}, its embedding; without the outputs for training ({outputs})"


def _classifier_input(nodes: List[Dict[str, Any]], path: str) -> str:
    """Return the output that the last FullyConnected reads, in a graph with a softmax."""
    dense = [node for node in nodes if node["op"] == "FullyConnected"]
    if not dense or not any(node["op"] in SOFTMAX for node in nodes):
        raise UserError(f"{path}: it is not clear which layer is the embedding; name it with `layer`")
    node = nodes[dense[-1]["inputs"][0][0]]
    while node["op"] in SCALINGS:
        node = nodes[node["inputs"][0][0]]
    return str(node["name"]) + "_output"


def image_input(
    symbol: mx.sym.Symbol, arg_params: Mapping[str, Any], aux_params: Mapping[str, Any], source: str
) -> str:
    """Return the name of the only input without a parameter.

    Raises UserError if there is none, or if parameters are missing.
    """
    inputs = [name for name in symbol.list_arguments() if name not in arg_params]
    missing = [name for name in symbol.list_auxiliary_states() if name not in aux_params]
    if not inputs:
        raise UserError(f"{source}: the graph has no image input: every input has a parameter")
    if len(inputs) > 1:
        image = "data" if "data" in inputs else inputs[0]
        missing = [name for name in inputs if name != image] + missing
    if missing:
        names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise UserError(
            f"{source}: parameters of the graph are missing: {names}; do symbol and parameters belong together?"
        )
    return inputs[0]


def find_input_size(
    symbol: mx.sym.Symbol, arg_params: Mapping[str, Any], aux_params: Mapping[str, Any], source: str
) -> Size:
    """Return height and width of the image: as stated, or the first usual size that fits.

    Raises UserError if the parameters fit at no size; the message names one that does not fit.
    """
    name = image_input(symbol, arg_params, aux_params, source)
    stated = _stated_size(symbol.attr_dict().get(name, {}))
    reasons = []
    for size in (stated,) if stated else USUAL_SIZES:
        reason = shape_mismatch(symbol, name, arg_params, aux_params, size)
        if not reason:
            return size
        reasons.append(reason)
    raise UserError(f"{source}: the parameters do not fit the graph: {reasons[0]}")


def _stated_size(attributes: Mapping[str, str]) -> Optional[Size]:
    for key in (INPUT_SIZE_ATTRIBUTE, f"__{INPUT_SIZE_ATTRIBUTE}__", "__shape__"):
        numbers = [int(number) for number in re.findall(r"\d+", attributes.get(key, ""))[-2:]]
        if len(numbers) == 2 and min(numbers) > 0:
            return numbers[0], numbers[1]
    return None


def shape_mismatch(
    symbol: mx.sym.Symbol, image: str, arg_params: Mapping[str, Any], aux_params: Mapping[str, Any], size: Size
) -> str:
    """Return why the parameters do not fit the graph for images of this size; empty if they fit."""
    import mxnet as mx

    shape = {image: (1, 3) + size}
    # MXNet cannot infer the shape of every parameter: not that of a weight that is normalised before its
    # layer, for example. It then receives the shapes of the stored arrays and checks that they fit.
    stored = {name: arg_params[name].shape for name in symbol.list_arguments() if name != image}
    try:
        inferred = _infer(symbol, shape)
    except mx.base.MXNetError:
        inferred = {}
    try:
        inferred = inferred or _infer(symbol, dict(shape, **stored))
    except mx.base.MXNetError as error:
        return f"images of {size[0]}×{size[1]} are refused: {mxnet_reason(error)}"
    if not inferred:
        return "its shapes cannot be inferred"
    stored.update((name, aux_params[name].shape) for name in symbol.list_auxiliary_states())
    for name, shape_of_array in stored.items():
        if tuple(shape_of_array) != inferred[name]:
            return f"{name} has shape {shape_of_array}; for images of {size[0]}×{size[1]} it must be {inferred[name]}"
    return ""


def _infer(symbol: mx.sym.Symbol, shapes: Mapping[str, Any]) -> Dict[str, Tuple[int, ...]]:
    """Return the shapes of all arrays by name; empty if the graph does not determine them."""
    with contextlib.redirect_stdout(io.StringIO()):  # MXNet prints its failures there
        arg_shapes, _, aux_shapes = symbol.infer_shape(**shapes)
    if arg_shapes is None:
        return {}
    names = symbol.list_arguments() + symbol.list_auxiliary_states()
    return {name: tuple(shape) for name, shape in zip(names, arg_shapes + aux_shapes)}


def mxnet_reason(error: BaseException) -> str:
    """Return the line of an MXNet error that states the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    reasons = [line for line in lines if "Check failed" in line or line.startswith("MXNetError")] or lines
    prefix = r"^(MXNetError: )?(Error in operator [^:]*: )?(\[[\d:]+\] )?(\S+:\d+: )?(Check failed: )?"
    return re.sub(prefix, "", reasons[-1])
