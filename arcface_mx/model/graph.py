"""What a graph needs to embed: where its embedding is, which input is the image, how large that is."""

from __future__ import annotations

import contextlib
import io
import json
import re
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    import mxnet as mx

Size = Tuple[int, int]  # height, width in pixels

EMBEDDING_LAYER = "fc1"  # the field's name for it
INPUT_SIZE_ATTRIBUTE = "arcface_input_size"  # "H,W" on the image variable, written by export
# Tried in this order where the graph does not say.
USUAL_SIZES: Sequence[Size] = (
    (112, 112),
    (112, 96),
    (64, 64),
    (96, 96),
    (128, 128),
    (144, 144),
    (160, 160),
    (224, 224),
    (56, 56),
    (32, 32),
    (48, 48),
    (80, 80),
    (256, 256),
    (250, 250),
    (299, 299),
)
SOFTMAX = {"SoftmaxOutput", "Softmax", "softmax", "SoftmaxActivation", "log_softmax", "softmax_cross_entropy"}
LOSSES = SOFTMAX | {"MakeLoss", "make_loss", "LinearRegressionOutput", "LogisticRegressionOutput", "Custom"}
SCALINGS = {"L2Normalization", "_mul_scalar", "Dropout"}  # between embedding and classifier


def embedding_symbol(
    symbol: mx.sym.Symbol, arg_params: Mapping[str, Any], layer: Optional[str], path: str
) -> Tuple[mx.sym.Symbol, str]:
    """The graph up to its embedding, and a line that says where it was cut (empty: it was not).

    A graph with one output, no loss and no input but the image is taken as it is. What training
    left (label inputs, losses, a classifier) is cut off at `fc1`, else at the classifier's input.
    Raises UserError when `layer` does not exist, or when the embedding cannot be told.
    """
    internals = symbol.get_internals()
    names = internals.list_outputs()
    if layer:
        name = layer if layer in names else layer + "_output"
        if name not in names:
            near = [known[:-7] for known in names if known.endswith("_output")][-6:]
            raise UserError(f"{path}: has no layer {layer}; its last layers are {', '.join(near)}")
        return internals[name], ""
    nodes = json.loads(symbol.tojson())["nodes"]
    heads = [nodes[head[0]] for head in json.loads(symbol.tojson())["heads"]]
    inputs = [name for name in symbol.list_arguments() if name not in arg_params]
    if len(heads) == 1 and heads[0]["op"] not in LOSSES and len(inputs) == 1:
        return symbol, ""
    name = EMBEDDING_LAYER + "_output"
    if name not in names:
        name = _classifier_input(nodes, path)
    left = ", ".join(symbol.list_outputs()[:4])
    return internals[name], f"{path}: cut at {name}, its embedding; left out: what training added ({left})"


def _classifier_input(nodes: List[Dict[str, Any]], path: str) -> str:
    """Output name of the layer that feeds the last FullyConnected of a graph with a softmax."""
    dense = [node for node in nodes if node["op"] == "FullyConnected"]
    if not dense or not any(node["op"] in SOFTMAX for node in nodes):
        raise UserError(f"{path}: cannot tell which layer is the embedding; name it with --layer")
    node = nodes[dense[-1]["inputs"][0][0]]
    while node["op"] in SCALINGS:
        node = nodes[node["inputs"][0][0]]
    return str(node["name"]) + "_output"


def image_input(
    symbol: mx.sym.Symbol, arg_params: Mapping[str, Any], aux_params: Mapping[str, Any], source: str
) -> str:
    """Name of the one input that has no parameter. Raises UserError naming what is missing."""
    inputs = [name for name in symbol.list_arguments() if name not in arg_params]
    missing = [name for name in symbol.list_auxiliary_states() if name not in aux_params]
    if not inputs:
        raise UserError(f"{source}: the graph has no image input: every input has a parameter")
    if len(inputs) > 1:
        missing = [name for name in inputs if name != ("data" if "data" in inputs else inputs[0])] + missing
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise UserError(
            f"{source}: parameters of the graph are missing: {', '.join(missing[:5])}{more}; do symbol and parameters belong together?"
        )
    return inputs[0]


def find_input_size(
    symbol: mx.sym.Symbol, arg_params: Mapping[str, Any], aux_params: Mapping[str, Any], source: str
) -> Size:
    """Height and width of the image: what the graph says, else the first usual size that fits.

    Raises UserError when the parameters fit at no size; the message names one that does not fit.
    """
    name = image_input(symbol, arg_params, aux_params, source)
    stated = _stated_size(symbol.attr_dict().get(name, {}))
    sizes = (stated,) if stated else USUAL_SIZES
    reasons = []
    for size in sizes:
        reasons.append(misfit(symbol, name, arg_params, aux_params, size))
        if not reasons[-1]:
            return size
    raise UserError(f"{source}: does not fit the graph: {reasons[0]}")


def _stated_size(attributes: Mapping[str, str]) -> Optional[Size]:
    for key in (INPUT_SIZE_ATTRIBUTE, f"__{INPUT_SIZE_ATTRIBUTE}__", "__shape__"):
        numbers = [int(number) for number in re.findall(r"\d+", attributes.get(key, ""))[-2:]]
        if len(numbers) == 2 and min(numbers) > 0:
            return numbers[0], numbers[1]
    return None


def misfit(
    symbol: mx.sym.Symbol, image: str, arg_params: Mapping[str, Any], aux_params: Mapping[str, Any], size: Size
) -> str:
    """Why the parameters do not fit the graph for images of this size; empty when they do."""
    import mxnet as mx

    shape = {image: (1, 3) + size}
    # Some graphs say nothing of a parameter's shape (a weight that is normalised first): then its
    # own shape is given, and MXNet checks that it fits.
    known = {name: arg_params[name].shape for name in symbol.list_arguments() if name != image}
    try:
        inferred = _infer(symbol, shape)
    except mx.base.MXNetError:
        inferred = None
    try:
        arg_shapes, aux_shapes = inferred or _infer(symbol, dict(shape, **known)) or (None, None)
    except mx.base.MXNetError as error:
        return "images of %d×%d are refused: %s" % (size + (mxnet_reason(error),))
    if arg_shapes is None or aux_shapes is None:
        return "its shapes cannot be inferred"
    wanted = list(zip(symbol.list_arguments(), arg_shapes)) + list(zip(symbol.list_auxiliary_states(), aux_shapes))
    for name, needed in wanted:
        if name == image:
            continue
        stored = arg_params[name] if name in arg_params else aux_params[name]
        if tuple(stored.shape) != tuple(needed):
            return "%s has shape %s; for images of %d×%d it must be %s" % ((name, stored.shape) + size + (needed,))
    return ""


def _infer(symbol: mx.sym.Symbol, shapes: Mapping[str, Any]) -> Optional[Tuple[List[Any], List[Any]]]:
    """Shapes of (arguments, auxiliary states), or None where the graph does not determine them."""
    with contextlib.redirect_stdout(io.StringIO()):  # MXNet prints its failures there
        arg_shapes, _, aux_shapes = symbol.infer_shape(**shapes)
    return None if arg_shapes is None else (arg_shapes, aux_shapes)


def mxnet_reason(error: BaseException) -> str:
    """The one telling line of an MXNet error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = (
        [line for line in lines if "Check failed" in line or line.startswith("MXNetError")]
        or lines
        or [type(error).__name__]
    )
    return re.sub(
        r"^(MXNetError: )?(Error in operator [^:]*: )?(\[[\d:]+\] )?(\S+:\d+: )?(Check failed: )?", "", told[-1]
    )
