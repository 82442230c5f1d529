"""Embedding a batch of photos with its mirror image: the graph as trained, folded, fused, by ONNX Runtime, in int8, in PyTorch."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

from arcface_mx.bench import network, torch_peer
from arcface_mx.bench.race import PEAK, Contestant, peak, race
from arcface_mx.bench.timing import Timing

ENGINE = "mxnet"
FUSING = {"MXNET_SUBGRAPH_BACKEND": "MKLDNN"}
# name: form of the graph, environment of the process
FORMS: Dict[str, Tuple[str, Dict[str, str]]] = {
    "MXNet": ("plain", {}),
    "MXNet, fast PReLU": ("fast_prelu", {}),
    "MXNet, BatchNorm folded": ("folded", {}),
    "MXNet, folded, fast PReLU": ("folded_fast_prelu", {}),
    "MXNet, folded, fused by oneDNN": ("folded", FUSING),
    "arcface-mx (folded, fast PReLU, fused)": ("optimise", {}),
    "ONNX Runtime, folded": ("onnx", {}),
    "ONNX Runtime, int8": ("int8", {}),
}
FUSED = "MXNet, folded, fused by oneDNN"
IMAGES = {"recipe": 64, "iresnet50": 8, "mobilefacenet": 32}


def measure(name: str, repetitions: int, torch_python: str = "") -> List[Timing]:
    """Images a second, each with its mirror image in the same batch; PyTorch is the baseline where it is named.

    All forms but int8 are checked against the plain graph: 1e-4 of the largest value. int8: a mean cosine of 0.9.
    """
    kind, width, side, size, _, _ = network.NETWORKS[name]
    shape: Dict[str, Any] = {"network": kind, "width": width, "side": side, "size": size, "batch": 2 * IMAGES[name]}
    work = network.gflop(kind, width, side, size)
    entries = []
    if torch_python:
        peer = dict(shape, training=False, threads=network.num_threads(), classes=1)
        entries.append(Contestant("PyTorch, eager", torch_peer.__file__, peer, python=torch_python, gflop=work))
    for title, (form, environment) in FORMS.items():
        if title == FUSED and name in network.FAILS_FUSED:
            continue
        entries.append(Contestant(title, __name__, dict(shape, form=form), environment, gflop=work))
    entries.append(peak())
    return race(entries, repetitions, PEAK)


def setup(network: str, width: float, side: int, size: int, batch: int, form: str) -> Callable[[], int]:
    """One form of the network, on a fixed random batch. Raises ValueError where it gives other embeddings."""
    import numpy as np

    images = np.random.default_rng(0).integers(0, 256, (batch, 3, side, side)).astype(np.float32)
    symbol, args, aux = random_network(network, width, side, size, fast=form.endswith("fast_prelu"))
    plain, _, _ = random_network(network, width, side, size, fast=False)
    slopes = {key: value.reshape((-1,)) if _is_slope(key) else value for key, value in args.items()}
    expected = _module(plain, slopes, aux, images)()
    if form == "optimise":
        from arcface_mx.model.optimise import optimise

        symbol, args, aux = optimise(symbol, args, aux, "data", (side, side))
    elif "folded" in form or form in ("onnx", "int8"):
        from arcface_mx.model.fold import fold_batchnorm

        symbol, args, aux = fold_batchnorm(symbol, args, aux)
    run = (
        _session(symbol, args, aux, side, images, form)
        if form in ("onnx", "int8")
        else _module(symbol, args, aux, images)
    )
    if form == "int8":
        _check_cosine(run(), expected)
    else:
        _check_values(run(), expected, form)

    def embed() -> int:
        run()
        return batch

    return embed


def _check_values(found: Any, expected: Any, form: str) -> None:
    import numpy as np

    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not error <= 1e-4:
        raise ValueError(f"form {form} differs by {error:.1e} of the largest value")


def _check_cosine(found: Any, expected: Any) -> None:
    import numpy as np

    from arcface_mx.metrics.similarity import unit_vectors

    cosine = float(np.sum(unit_vectors(found) * unit_vectors(expected), axis=1).mean())
    if not cosine >= 0.9:
        raise ValueError(f"int8 has a mean cosine of {cosine:.3f}")


def _is_slope(name: str) -> bool:
    return "relu" in name and name.endswith("_gamma")


def random_network(
    network: str, width: float, side: int, size: int, fast: bool
) -> Tuple[Any, Dict[str, Any], Dict[str, Any]]:
    """Symbol and random parameters with BatchNorm's statistics off their start; the same numbers for each form."""
    import mxnet as mx
    import numpy as np

    from arcface_mx import symbols

    data = mx.sym.Variable("data")
    symbol = symbols.backbone(network, data, embedding_size=size, width=width, input_size=side, fast_prelu=fast)
    arg_shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, side, side))
    rng = np.random.default_rng(1)
    args, aux = {}, {}
    for key, shape in zip(symbol.list_arguments(), arg_shapes):
        if key != "data":
            values = rng.normal(size=shape) * (2.0 / max(1, np.prod(shape[1:]))) ** 0.5
            args[key] = mx.nd.array(rng.uniform(0.1, 1.0, shape) if key.endswith("_gamma") else values)
    for key, shape in zip(symbol.list_auxiliary_states(), aux_shapes):
        aux[key] = mx.nd.array(rng.uniform(0.5, 2.0, shape) if key.endswith("_var") else rng.normal(0, 0.1, shape))
    return symbol, args, aux


def _module(symbol: Any, args: Dict[str, Any], aux: Dict[str, Any], images: Any) -> Callable[[], Any]:
    import mxnet as mx

    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", images.shape)], for_training=False)
    module.set_params(args, aux)
    batch = mx.io.DataBatch([mx.nd.array(images)])

    def run() -> Any:
        module.forward(batch, is_train=False)
        return module.get_outputs()[0].asnumpy()

    return run


def _session(
    symbol: Any, args: Dict[str, Any], aux: Dict[str, Any], side: int, images: Any, form: str
) -> Callable[[], Any]:
    from arcface_mx.export.int8 import quantise
    from arcface_mx.model.engines import onnx_session
    from arcface_mx.model.to_onnx import to_onnx

    data = to_onnx(symbol, args, aux, "data", (side, side), {})
    session = onnx_session(quantise(data, images) if form == "int8" else data, form)
    return lambda: session.run(None, {"data": images})[0]
