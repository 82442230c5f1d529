"""Convert an embedding network to ONNX, for any number of images at once.

MXNet's exporter converts some graphs wrongly without an error, so the graph is rewritten first:

- BatchNorm's gamma is set to 1 where `fix_gamma` ignores it.
- PReLU slopes get the shape (C, 1, 1), which ONNX broadcasts.
- FullyConnected states flatten=True.
- L2Normalization becomes x / √(Σx² + ε), written as five operators.
- Dropout is removed.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from typing import TYPE_CHECKING, Any, Dict, Mapping, Tuple

import numpy as np

from arcface_mx.model.attributes import EMBEDDING_SIZE_ATTRIBUTE
from arcface_mx.model.nodes import Graph, Node, Source
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import temporary_directory

if TYPE_CHECKING:
    import mxnet as mx

OPSET, IR_VERSION = 13, 8


def to_onnx(
    symbol: mx.sym.Symbol,
    arg_params: Mapping[str, Any],
    aux_params: Mapping[str, Any],
    image: str,
    size: Tuple[int, int],
    metadata: Mapping[str, str],
) -> bytes:
    """Return the graph as the bytes of an ONNX file.

    Its input `image` is (batch, 3, height, width), float32; `size` is (height, width). Raises
    UserError if a package is missing or an operator has no ONNX form.
    """
    onnx = import_onnx()
    import mxnet.onnx

    graph = Graph(symbol)
    arrays = dict(arg_params, **aux_params)
    ranks = _ranks(symbol, image, size)
    for node in graph.nodes():
        _rewrite(graph, node, arrays, ranks)
    rewritten = graph.symbol()
    names = rewritten.list_arguments() + rewritten.list_auxiliary_states()
    arrays = {name: arrays[name] for name in names if name != image}
    dynamic = {"dynamic": True, "dynamic_input_shapes": [("batch", 3) + size]}
    with temporary_directory() as folder:
        path = os.path.join(folder, "model.onnx")
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                mxnet.onnx.export_model(rewritten, arrays, [(1, 3) + size], np.float32, path, **dynamic)
        except (AttributeError, NotImplementedError, KeyError, ValueError) as error:
            raise UserError(f"ONNX: MXNet's exporter cannot write this graph: {error}") from error
        model = onnx.load(path)
    # The exporter writes the operators of opset 13, whatever version it states in the file.
    model.opset_import[0].version, model.ir_version = OPSET, IR_VERSION
    _make_constants(model)
    _name_output(model, rewritten.list_outputs()[0], metadata)
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def import_onnx() -> Any:
    """Return the package onnx. Raises UserError if onnx is too new, or if onnx or ONNX Runtime is missing."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnxruntime  # noqa: F401
        from onnx import mapping  # noqa: F401  MXNet's exporter needs it; onnx 1.19 removed it
    except ImportError as error:
        raise missing_package(error) from None
    return onnx


def missing_package(error: ImportError) -> UserError:
    """Return the error for onnx or ONNX Runtime that cannot be imported."""
    return UserError(f"ONNX needs onnx (at most 1.18) and onnxruntime ({error}): pip install 'arcface-mx[export]'")


def _make_constants(model: Any) -> None:
    """Remove parameters from the inputs; listed there, ONNX Runtime does not fold constants."""
    parameters = {parameter.name for parameter in model.graph.initializer}
    for entry in [entry for entry in model.graph.input if entry.name in parameters]:
        model.graph.input.remove(entry)


def _ranks(symbol: mx.sym.Symbol, image: str, size: Tuple[int, int]) -> Dict[str, int]:
    """Return the number of axes of each output of a node, by the output's name."""
    internals = symbol.get_internals()
    _, shapes, _ = internals.infer_shape_partial(**{image: (1, 3) + size})
    return {name: len(shape or ()) for name, shape in zip(internals.list_outputs(), shapes)}


def _rewrite(graph: Graph, node: Node, arrays: Dict[str, Any], ranks: Mapping[str, int]) -> None:
    import mxnet as mx

    if node.op == "Dropout":
        graph.replace(node, node.inputs[0])
    elif node.op == "BatchNorm" and node.flag("fix_gamma", True):
        gamma = node.inputs[1].node.name
        arrays[gamma] = mx.nd.ones_like(arrays[gamma])
    elif node.op == "LeakyReLU" and node.attrs.get("act_type") == "prelu":
        slope, rank = node.inputs[1].node, ranks[node.name + "_output"]
        arrays[slope.name] = arrays[slope.name].reshape((-1,) + (1,) * (rank - 2))
        slope.attrs.pop("__shape__", None)
    elif node.op == "FullyConnected":
        node.attrs.setdefault("flatten", "True")
    elif node.op == "L2Normalization" and node.attrs.get("mode", "instance") == "instance":
        _expand_normalisation(graph, node, ranks[node.name + "_output"])


def _expand_normalisation(graph: Graph, node: Node, rank: int) -> None:
    """Replace L2Normalization by x / √(Σx² + ε), five operators that ONNX has."""
    axes = f"({', '.join(map(str, range(1, rank)))})"
    norm = node.inputs[0]
    for op, attrs in (
        ("square", {}),
        ("sum", {"axis": axes, "keepdims": "True"}),
        ("_plus_scalar", {"scalar": node.attrs.get("eps", "1e-10")}),
        ("sqrt", {}),
    ):
        norm = Source(Node(op, f"{node.name}_{op.strip('_')}", attrs, norm))
    graph.replace(node, Source(Node("broadcast_div", node.name, {}, node.inputs[0], norm)))


def _name_output(model: Any, embedding: str, metadata: Mapping[str, str]) -> None:
    """Name the output after the layer, fc1, and state its shape, which the exporter leaves open."""
    output = model.graph.output[0]
    shape = output.type.tensor_type.shape
    if EMBEDDING_SIZE_ATTRIBUTE in metadata and len(shape.dim) == 2:
        shape.dim[0].dim_param = "batch"
        shape.dim[1].dim_value = int(metadata[EMBEDDING_SIZE_ATTRIBUTE])
    name = embedding[: -len("_output")] if embedding.endswith("_output") else embedding
    for node in model.graph.node:
        node.output[:] = [name if old == output.name else old for old in node.output]
    output.name = name
