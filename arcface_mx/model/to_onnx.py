"""The embedding network as ONNX, any number of images at once.

MXNet's exporter is silently wrong on some graphs, so they are rewritten first: BatchNorm's gamma is
set to 1 where fix_gamma ignores it, PReLU slopes take the shape (C, 1, 1) that ONNX broadcasts,
FullyConnected says flatten=True, and x/‖x‖ is spelled out. Dropout goes.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Tuple

import numpy as np

from arcface_mx.model.attributes import EMBEDDING_SIZE_ATTRIBUTE
from arcface_mx.model.nodes import Graph, Node, Source
from arcface_mx.util.environment import num_threads
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write

if TYPE_CHECKING:
    import mxnet as mx

OPSET, IR_VERSION = 13, 8


def onnx_bytes(
    symbol: mx.sym.Symbol,
    arg_params: Mapping[str, Any],
    aux_params: Mapping[str, Any],
    image: str,
    size: Tuple[int, int],
    metadata: Mapping[str, str],
) -> bytes:
    """The graph as an ONNX file's bytes; its input `image` is (batch, 3, height, width), float32.

    Raises UserError where the extra `export` is missing or an operator has no ONNX form.
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
    shape = (1, 3) + size
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                mxnet.onnx.export_model(
                    rewritten,
                    arrays,
                    [shape],
                    np.float32,
                    path,
                    dynamic=True,
                    dynamic_input_shapes=[("batch",) + shape[1:]],
                )
        except (AttributeError, NotImplementedError, KeyError, ValueError) as error:
            raise UserError(f"ONNX: MXNet's exporter cannot write this graph: {error}") from error
        model = onnx.load(path)
    # The exporter writes operators as of opset 13 whatever it stamps on the file.
    model.opset_import[0].version, model.ir_version = OPSET, IR_VERSION
    _make_constants(model)
    _name_output(model, rewritten.list_outputs()[0], metadata)
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_onnx(path: str, data: bytes) -> None:
    """Write the file, whole or not at all."""
    with atomic_write(path) as stream:
        stream.write(data)


def onnx_embeddings(data: bytes, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Embeddings (n, d) of images (n, 3, H, W), float32, by ONNX Runtime on the CPU."""
    session = onnx_session(data, "ONNX model")
    name = session.get_inputs()[0].name
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    return np.concatenate([session.run(None, {name: batch})[0] for batch in batches]).reshape(len(images), -1)


def onnx_session(data: bytes, name: str) -> Any:
    """An InferenceSession on the CPU with as many threads as MXNet has.

    name: what messages call the model. Raises UserError where ONNX Runtime is missing or takes it for none.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing(error) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, num_threads()
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common class
        raise UserError(f"{name}: ONNX Runtime cannot load it: {str(error).splitlines()[0]}") from error


def import_onnx() -> Any:
    """The package onnx. Raises UserError where it or ONNX Runtime is missing, or where it is too new for MXNet."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnxruntime  # noqa: F401
        from onnx import mapping  # noqa: F401  MXNet's exporter needs it; onnx 1.19 removed it
    except ImportError as error:
        raise _missing(error) from None
    return onnx


def _missing(error: ImportError) -> UserError:
    return UserError(f"ONNX needs onnx (at most 1.18) and onnxruntime ({error}): pip install 'arcface-mx[export]'")


def _make_constants(model: Any) -> None:
    """MXNet's exporter lists parameters as inputs too, which keeps ONNX Runtime from computing with them ahead."""
    parameters = {parameter.name for parameter in model.graph.initializer}
    for entry in [entry for entry in model.graph.input if entry.name in parameters]:
        model.graph.input.remove(entry)


def _ranks(symbol: mx.sym.Symbol, image: str, size: Tuple[int, int]) -> Dict[str, int]:
    """{name of a node's output: its number of axes}."""
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
        slope, axes = node.inputs[1].node, ranks[node.name + "_output"]
        arrays[slope.name] = arrays[slope.name].reshape((-1,) + (1,) * (axes - 2))
        slope.attrs.pop("__shape__", None)
    elif node.op == "FullyConnected":
        node.attrs.setdefault("flatten", "True")
    elif node.op == "L2Normalization" and node.attrs.get("mode", "instance") == "instance":
        _spell_out_normalisation(graph, node, ranks[node.name + "_output"])


def _spell_out_normalisation(graph: Graph, node: Node, axes: int) -> None:
    """L2Normalization → x / √(Σx² + ε), five operators that ONNX has."""
    over = f"({', '.join(map(str, range(1, axes)))})"
    steps: List[Tuple[str, Dict[str, str]]] = [
        ("square", {}),
        ("sum", {"axis": over, "keepdims": "True"}),
        ("_plus_scalar", {"scalar": node.attrs.get("eps", "1e-10")}),
        ("sqrt", {}),
    ]
    last = node.inputs[0]
    for op, attrs in steps:
        step = Node(op, f"{node.name}_{op.strip('_')}", attrs)
        step.inputs = [Source(last.node, last.output, last.version)]
        last = Source(step)
    quotient = Node("broadcast_div", node.name, {})
    quotient.inputs = [node.inputs[0], last]
    graph.replace(node, Source(quotient))


def _name_output(model: Any, embedding: str, metadata: Mapping[str, str]) -> None:
    """Call the output after the layer, fc1, and state its shape, which the exporter leaves open."""
    output = model.graph.output[0]
    if EMBEDDING_SIZE_ATTRIBUTE in metadata and len(output.type.tensor_type.shape.dim) == 2:
        output.type.tensor_type.shape.dim[0].dim_param = "batch"
        output.type.tensor_type.shape.dim[1].dim_value = int(metadata[EMBEDDING_SIZE_ATTRIBUTE])
    name = embedding[: -len("_output")] if embedding.endswith("_output") else embedding
    if output.name != name:
        for node in model.graph.node:
            node.output[:] = [name if old == output.name else old for old in node.output]
        output.name = name
