"""Find and read a model: a run folder, PREFIX,EPOCH, or an ONNX file."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Tuple

from arcface_mx.model import trial
from arcface_mx.model.auto_engine import auto_engine
from arcface_mx.model.convention import RAW, parse_convention, stated_convention
from arcface_mx.model.embedder import Embedder, default_contexts
from arcface_mx.model.engines import Engine, Network, int8_engine, onnx_engine
from arcface_mx.model.graph import Size, cut_at_embedding, find_input_size, mxnet_reason
from arcface_mx.model.graph_check import MAX_BYTES, InvalidGraph, check_graph, check_output_sizes
from arcface_mx.model.onnx_embedder import OnnxEmbedder
from arcface_mx.model.onnx_file import is_onnx, onnx_fingerprint, read_onnx
from arcface_mx.model.to_onnx import import_onnx
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import fingerprint
from arcface_mx.util.params import read_arrays

if TYPE_CHECKING:
    import mxnet as mx

    Parameters = Dict[str, mx.nd.NDArray]

ENGINES = ("mxnet", "onnx", "int8", "auto")
NOT_SYMBOL = "cannot be read as an MXNet symbol: "
SYMBOL_DIGEST = "symbol_sha256"  # in a parameter file: digest of the graph that was saved with it


def load_model(
    spec: str,
    contexts: Optional[List[mx.Context]] = None,
    layer: Optional[str] = None,
    engine: str = "mxnet",
    convention: Optional[str] = None,
) -> Embedder:
    """Read a model and prepare it to embed images.

    Parameters
    ----------
    spec : str
        A folder with model-symbol.json and model-0000.params, PREFIX,EPOCH, or an ONNX file.
    contexts : list of Context, optional
        Devices. The default is one CPU.
    layer : str, optional
        Name of the layer whose output is the embedding. The default is the output of the graph;
        where the graph ends in a loss, it is the layer fc1 or the input of the classifier.
    engine : {"mxnet", "onnx", "int8", "auto"}
        What computes. "auto" is the faster of "mxnet" and "onnx", by a measurement at the first batch. An ONNX file
        always runs in ONNX Runtime.
    convention : str, optional
        The input convention, such as "rgb,127.5,128": colour order, and mean and scale of
        (pixel − mean) / scale. The default is what the model states, or else RGB from 0 to 255 for
        MXNet's files, and what `OnnxEmbedder` assumes for ONNX files.

    Returns
    -------
    Embedder

    Raises
    ------
    UserError
        If files are missing or unreadable, the parameters do not fit the graph, or the engine is
        not installed or does not run on these devices.
    """
    if is_onnx(spec):
        if engine == "int8":
            raise UserError(
                f"`engine` int8 is for MXNet models with their int8 form beside them; {spec} is an ONNX file"
            )
        return OnnxEmbedder(spec, contexts, layer, convention)
    if engine == "int8" and convention:
        raise UserError("`input` cannot be combined with `engine` int8, whose files take RGB from 0 to 255")
    make_engine = engine_factory(engine, spec, contexts)
    symbol_path, params_path = locate(spec)
    paths, text = {"symbol": symbol_path, "params": params_path}, read_graph(symbol_path)
    arg_params, aux_params = read_parameters(params_path, symbol_path)
    trial.try_graph(paths, text, arg_params, aux_params, layer)
    symbol, note, input_size = prepare(paths, text, arg_params, aux_params, layer)
    stated = parse_convention(convention) if convention else None
    embedder = Embedder(symbol, arg_params, aux_params, contexts, input_size, spec, make_engine, stated or RAW)
    attributes = symbol.attr_dict().get(embedder.image_input, {})
    embedder.convention_is_known = not stated and stated_convention(attributes) is not None
    embedder.notes = [note] if note else []
    return embedder


def prepare(
    paths: Mapping[str, str], text: str, arg_params: Any, aux_params: Any, layer: Optional[str]
) -> Tuple[mx.sym.Symbol, str, Size]:
    """Load a checked graph; returns it up to its embedding, a line about the cut, and the size of its images.

    `paths` are those of "symbol" and "params". Of the parameters only the shapes are used.
    """
    symbol, note = cut_at_embedding(_load_graph(paths["symbol"], text), arg_params, layer, paths["symbol"])
    input_size = find_input_size(symbol, arg_params, aux_params, paths["params"])
    check_memory(symbol, paths["symbol"], arg_params, input_size)
    return symbol, note, input_size


def engine_factory(
    engine: str, spec: str, contexts: Optional[List[mx.Context]]
) -> Optional[Callable[[Network], Engine]]:
    """Return what makes the engine of that name for the model `spec`; None is MXNet."""
    if engine == "mxnet":
        return None
    if engine not in ENGINES:
        raise UserError(f"`engine` must be one of {', '.join(ENGINES)}, got {engine}")
    if engine == "auto":
        return lambda network: auto_engine(network, contexts or default_contexts())
    if any(context.device_type != "cpu" for context in contexts or ()):
        raise UserError(f"`engine` {engine} runs on the CPU only; remove `devices`")
    if engine == "onnx":
        import_onnx()  # reports a missing package before the model is read
        return onnx_engine
    int8 = int8_engine(int8_path(spec), locate(spec)[1])
    return lambda network: int8


def int8_path(spec: str) -> str:
    """Return the path of a model's int8 form; `spec` is a run folder or PREFIX,EPOCH."""
    return model_file(spec, "-int8.onnx")


def model_file(spec: str, ending: str) -> str:
    """Return PREFIX + `ending`, a file that belongs to a model; `spec` as for `load_model`."""
    return spec + ending if is_onnx(spec) else locate(spec)[0][: -len("-symbol.json")] + ending


def check_memory(symbol: mx.sym.Symbol, path: str, arg_params: Parameters, size: Size) -> None:
    """Refuse a graph that would need absurd memory for one image."""
    internals = symbol.get_internals()
    shapes = {name: arg_params[name].shape if name in arg_params else (1, 3) + size for name in symbol.list_arguments()}
    _, outputs, _ = internals.infer_shape_partial(**shapes)
    try:
        check_output_sizes(outputs or [], internals.list_outputs())
    except InvalidGraph as reason:
        raise UserError(f"{path}: {reason}") from None


def model_fingerprint(spec: str, convention: Optional[str] = None) -> str:
    """Return a SHA-256 that differs where a model's parameters or its input differ; arguments as for `load_model`."""
    if is_onnx(spec):
        digest, applied = onnx_fingerprint(spec), read_onnx(spec).convention(convention)[0]
    else:
        digest, applied = fingerprint(locate(spec)[1]), parse_convention(convention) if convention else RAW
    return digest if applied == RAW else hashlib.sha256(f"{digest} {applied}".encode()).hexdigest()


def locate(spec: str) -> Tuple[str, str]:
    """Return the paths of a model's symbol and parameters. Raises UserError if one is missing."""
    if is_onnx(spec):
        raise UserError(f"{spec}: is an ONNX file; this needs MXNet files, which arcface-mx import makes of it")
    if os.path.isdir(spec):
        prefix, epoch = os.path.join(spec, "model"), "0"
        if not os.path.exists(prefix + "-symbol.json"):
            raise UserError(f"{spec}: has no model-symbol.json; {_folder_remedy(spec)}")
    else:
        prefix, comma, epoch = spec.rpartition(",")
        if not comma or not re.fullmatch(r"\s*\d+\s*", epoch):
            remedy = _epochs(spec, f"; write {spec},EPOCH")
            raise UserError(f"model {spec}: neither a run folder nor PREFIX,EPOCH{remedy}{_other_format(spec)}")
    symbol_path, params_path = prefix + "-symbol.json", f"{prefix}-{int(epoch):04}.params"
    if not os.path.isfile(symbol_path):
        raise UserError(f"{symbol_path}: no such file (of the model {spec})")
    if not os.path.isfile(params_path):
        raise UserError(f"{params_path}: no such file (of the model {spec}){_epochs(prefix, '')}")
    return symbol_path, params_path


def _other_format(spec: str) -> str:
    is_torch = spec.lower().endswith((".pth", ".pt"))
    return "; arcface-mx import makes MXNet files of a PyTorch file" if is_torch else ", and no .onnx file"


def _folder_remedy(folder: str) -> str:
    symbols = sorted(glob.glob(os.path.join(glob.escape(folder), "*-symbol.json")))
    if symbols:
        return f"write {symbols[0][: -len('-symbol.json')]},EPOCH"
    return f"if it is a training run, run: arcface-mx export {folder}"


def _epochs(prefix: str, remedy: str) -> str:
    """Return the epochs that exist for a prefix, as the end of a message."""
    names = glob.glob(glob.escape(prefix) + "-*.params")
    matches = (re.search(r"-(\d{4,})\.params$", name) for name in names)
    epochs = sorted(int(match.group(1)) for match in matches if match)
    return f"{remedy}; epochs there: {', '.join(map(str, epochs[:20]))}" if epochs else ""


def read_graph(path: str) -> str:
    """Read and check the JSON of a graph of any MXNet version. Raises UserError if it is refused."""
    try:
        with open(path, "rb") as stream:
            return check_graph(stream.read(MAX_BYTES + 1))
    except InvalidGraph as error:
        raise UserError(f"{path}: {NOT_SYMBOL}{mxnet_reason(error)}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def _load_graph(path: str, text: str) -> mx.sym.Symbol:
    import mxnet as mx

    try:
        return mx.sym.load_json(text)
    except mx.base.MXNetError as error:
        raise UserError(f"{path}: {NOT_SYMBOL}{mxnet_reason(error)}") from error


def graph_digest(text: str) -> str:
    """Return the SHA-256 of a graph's JSON, independent of spaces and line ends."""
    return hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()


def read_parameters(path: str, symbol_path: Optional[str] = None) -> Tuple[Parameters, Parameters]:
    """Load (arg_params, aux_params).

    With `symbol_path`, the graph in that file must be the one that was saved with the parameters,
    where the parameter file states which one that is. Raises UserError if it is another one, or if
    the parameter file is damaged or has no parameter names.
    """
    import mxnet as mx

    saved = read_arrays(path)
    if symbol_path is not None and SYMBOL_DIGEST in saved.facts:
        _check_symbol(symbol_path, path, saved.facts[SYMBOL_DIGEST])
    groups: Dict[str, Any] = {"arg": {}, "aux": {}}
    for name in list(saved.arrays):
        value = saved.arrays.pop(name)  # so that memory holds each array only once
        kind, colon, rest = name.partition(":")
        if not colon or kind not in groups:
            raise UserError(
                f"{path}: holds {name!r}, not arg: and aux: names; "
                "save with Module.save_checkpoint or HybridBlock.export"
            )
        groups[kind][rest] = mx.nd.array(value, dtype=value.dtype)
    return groups["arg"], groups["aux"]


def _check_symbol(symbol_path: str, params_path: str, expected: str) -> None:
    with open(symbol_path, encoding="utf-8") as stream:
        digest = graph_digest(stream.read())
    if digest != expected:
        raise UserError(
            f"{symbol_path}: is not the graph that was exported with {os.path.basename(params_path)}: it is damaged or "
            "from another export; export again (after a change on purpose, save both with mx.model.save_checkpoint)"
        )
