"""Find and read a model: a run folder, or PREFIX,EPOCH (PREFIX-symbol.json + PREFIX-0000.params)."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

from arcface_mx.model.embedder import Embedder
from arcface_mx.model.engines import Engine, Network, int8_engine, onnx_engine
from arcface_mx.model.graph import Size, embedding_symbol, find_input_size, mxnet_reason
from arcface_mx.model.graph_check import MAX_BYTES, InvalidGraph, check_extent, check_graph
from arcface_mx.util.errors import UserError
from arcface_mx.util.params import read_arrays

if TYPE_CHECKING:
    import mxnet as mx

    Parameters = Dict[str, mx.nd.NDArray]

ENGINES = ("mxnet", "onnx", "int8")
SYMBOL_DIGEST = "symbol_sha256"  # noted in the parameter files that export writes


def load_model(
    spec: str, contexts: Optional[List[mx.Context]] = None, layer: Optional[str] = None, engine: str = "mxnet"
) -> Embedder:
    """Read a model and make it ready to embed.

    spec: a run folder (model-symbol.json, model-0000.params) or PREFIX,EPOCH. contexts: the devices,
    one CPU when None. layer: name of the layer whose output is the embedding; None finds it (the
    graph's output, or where it ends in a loss: fc1, or the classifier's input). engine: what computes,
    a name of ENGINES.

    Raises UserError when files are missing or unreadable, or parameters do not fit the graph, or where
    the engine is not installed or has no use for these devices.
    """
    make_engine = engine_maker(engine, spec, contexts)
    symbol_path, params_path = locate(spec)
    symbol = read_symbol(symbol_path)
    arg_params, aux_params = read_parameters(params_path, symbol_path)
    symbol, note = embedding_symbol(symbol, arg_params, layer, symbol_path)
    input_size = find_input_size(symbol, arg_params, aux_params, params_path)
    _check_layers(symbol, symbol_path, arg_params, input_size)
    embedder = Embedder(symbol, arg_params, aux_params, contexts, input_size, spec, make_engine)
    embedder.notes = [note] if note else []
    return embedder


def engine_maker(engine: str, spec: str, contexts: Optional[List[mx.Context]]) -> Optional[Callable[[Network], Engine]]:
    """What makes the engine of that name for the model `spec`; None is MXNet."""
    if engine == "mxnet":
        return None
    if engine not in ENGINES:
        raise UserError(f"engine {engine}: there are {', '.join(ENGINES)}")
    from arcface_mx.model.to_onnx import import_onnx

    if any(context.device_type != "cpu" for context in contexts or ()):
        raise UserError(f"--engine {engine} runs on the CPU; leave --devices away")
    if engine == "onnx":
        import_onnx()
        return onnx_engine
    made = int8_engine(int8_path(spec), locate(spec)[1])
    return lambda network: made


def int8_path(spec: str) -> str:
    """Where a model's int8 form is kept; `spec`: run folder or PREFIX,EPOCH."""
    return beside(spec, "-int8.onnx")


def beside(spec: str, ending: str) -> str:
    """PREFIX + `ending`: where what belongs to a model lies. `spec`: run folder or PREFIX,EPOCH."""
    return locate(spec)[0][: -len("-symbol.json")] + ending


def _check_layers(symbol: mx.sym.Symbol, path: str, arg_params: Parameters, size: Size) -> None:
    """Refuse a graph that would take absurd memory for one image."""
    internals = symbol.get_internals()
    known = {name: arg_params[name].shape for name in symbol.list_arguments() if name in arg_params}
    image = [name for name in symbol.list_arguments() if name not in arg_params]
    _, shapes, _ = internals.infer_shape_partial(**dict(known, **{name: (1, 3) + size for name in image}))
    try:
        check_extent(shapes or [], internals.list_outputs())
    except InvalidGraph as reason:
        raise UserError(f"{path}: {reason}") from None


def locate(spec: str) -> Tuple[str, str]:
    """Paths of a model's symbol and parameters. Raises UserError when one does not exist."""
    if os.path.isdir(spec):
        prefix, epoch = os.path.join(spec, "model"), "0"
        if not os.path.exists(prefix + "-symbol.json"):
            raise UserError(f"{spec}: {_folder_remedy(spec)}")
    else:
        prefix, comma, epoch = spec.rpartition(",")
        if not comma or not re.fullmatch(r"\s*\d+\s*", epoch):
            raise UserError(
                "model {}: neither a run folder nor PREFIX,EPOCH{}".format(spec, _epochs(spec, f"; write {spec},EPOCH"))
            )
    symbol_path, params_path = prefix + "-symbol.json", f"{prefix}-{int(epoch):04}.params"
    if not os.path.isfile(symbol_path):
        raise UserError(f"{symbol_path}: no such file (of the model {spec})")
    if not os.path.isfile(params_path):
        raise UserError(f"{params_path}: no such file (of the model {spec}){_epochs(prefix, '')}")
    return symbol_path, params_path


def _folder_remedy(folder: str) -> str:
    others = sorted(glob.glob(os.path.join(glob.escape(folder), "*-symbol.json")))
    if others:
        return f"no model-symbol.json here; write {others[0][: -len('-symbol.json')]},EPOCH"
    return f"no model-symbol.json here; if it is a training run, run: arcface-mx export {folder}"


def _epochs(prefix: str, remedy: str) -> str:
    """The epochs that exist for a prefix, as the end of a message."""
    names = glob.glob(glob.escape(prefix) + "-*.params")
    found = sorted(int(match.group(1)) for match in (re.search(r"-(\d{4,})\.params$", name) for name in names) if match)
    return f"{remedy}; epochs there: {', '.join(map(str, found[:20]))}" if found else ""


def read_symbol(path: str) -> mx.sym.Symbol:
    """Load a graph of any MXNet version (MXNet upgrades old ones). Raises UserError when it cannot or must not."""
    import mxnet as mx

    try:
        with open(path, "rb") as stream:
            text = check_graph(stream.read(MAX_BYTES + 1))
        return mx.sym.load_json(text)
    except (mx.base.MXNetError, InvalidGraph) as error:
        raise UserError(f"{path}: cannot be read as an MXNet symbol: {mxnet_reason(error)}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def graph_digest(text: str) -> str:
    """SHA-256 of a graph's JSON, whatever its spaces and line ends."""
    return hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()


def read_parameters(path: str, symbol_path: Optional[str] = None) -> Tuple[Parameters, Parameters]:
    """Load (arg_params, aux_params). Raises UserError when the file is not a named parameter file or is damaged.

    symbol_path: the graph's file, which must be the one that was exported with the parameters where
    these say which that is.
    """
    import mxnet as mx

    saved = read_arrays(path)
    if symbol_path is not None and SYMBOL_DIGEST in saved.facts:
        _check_symbol(symbol_path, path, saved.facts[SYMBOL_DIGEST])
    parts: Dict[str, Any] = {"arg": {}, "aux": {}}
    for name in list(saved.arrays):
        value = saved.arrays.pop(name)  # let go once copied: the file is in memory once
        kind, colon, rest = name.partition(":")
        if not colon or kind not in parts:
            raise UserError(
                f"{path}: holds {name!r}, not arg: and aux: names; save with Module.save_checkpoint or HybridBlock.export"
            )
        parts[kind][rest] = mx.nd.array(value, dtype=value.dtype)
    return parts["arg"], parts["aux"]


def _check_symbol(symbol_path: str, params_path: str, expected: str) -> None:
    with open(symbol_path, encoding="utf-8") as stream:
        found = graph_digest(stream.read())
    if found != expected:
        raise UserError(
            f"{symbol_path}: is not the graph that was exported with {os.path.basename(params_path)}: damaged, or of another export; export again (a graph changed on purpose: save both with mx.model.save_checkpoint)"
        )
