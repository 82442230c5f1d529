"""Make an MXNet graph of the state dict of an IResNet of InsightFace's arcface_torch.

The network is the paper's IR-ResNet, so it is built by `symbols/backbones/iresnet.py` and gets that builder's names.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Dict, List, Mapping, Tuple

import numpy as np

from arcface_mx.model.convention import ASSUMED, Convention
from arcface_mx.model.engines import Network
from arcface_mx.model.nodes import Graph
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    import mxnet as mx

EPS = "1e-05"  # of BatchNorm in arcface_torch
MAX_UNITS, STRIDE = 100, 16  # units of a stage; pixels of the image in one of the last features
ROLES = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_var"}
LAYERS = {"conv1": "conv0", "bn1": "bn0", "prelu": "relu0", "bn2": "bn1", "fc": "pre_fc1", "features": "fc1"}
UNIT_LAYERS = {"prelu": "relu1", "downsample.0": "conv1sc", "downsample.1": "sc"}
UNIT = re.compile(r"layer([1-4])\.([0-9]{1,3})\.(bn[1-3]|conv[12]|prelu|downsample\.[01])\.(\w+)")


def from_torch(state: Mapping[str, np.ndarray], source: str, convention: Convention = ASSUMED) -> Network:
    """Return the graph of an IResNet with its arrays, for RGB pixels from 0 to 255.

    Parameters
    ----------
    state : mapping of str to ndarray
        The state dict, as `read_pth` returns it.
    source : str
        What messages call the file.
    convention : Convention
        What the network takes.

    Raises
    ------
    UserError
        If the names or shapes are not those of an IResNet. The message names an array.
    """
    import mxnet as mx

    arrays = {}
    for name, value in state.items():
        if not name.endswith("num_batches_tracked"):  # a count that only training with another momentum needs
            arrays[_mxnet_name(name, source)] = value
    if convention.order == "bgr" and "conv0_weight" in arrays:
        arrays["conv0_weight"] = arrays["conv0_weight"][:, ::-1]
    symbol, side = _graph(arrays, source, convention)
    shapes, _, state_shapes = symbol.infer_shape(data=(1, 3, side, side))
    groups: List[Dict[str, mx.nd.NDArray]] = []
    for names, expected in (
        (symbol.list_arguments(), shapes),
        (symbol.list_auxiliary_states(), state_shapes),
    ):
        groups.append({})
        for name, shape in zip(names, expected):
            if name == "data":
                continue
            if name not in arrays:
                raise UserError(f"{source}: is not an IResNet of arcface_torch: {name} is missing")
            array = arrays.pop(name)
            if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
                raise UserError(f"{source}: {name} has shape {array.shape}, not {shape}, or is not finite")
            groups[-1][name] = mx.nd.array(array)
    if arrays:
        raise UserError(f"{source}: is not an IResNet of arcface_torch: it also holds {min(arrays)}")
    return Network(symbol, groups[0], groups[1], "data", (side, side), source)


def _mxnet_name(name: str, source: str) -> str:
    """Return the name that `iresnet` gives an array of arcface_torch."""
    match = UNIT.fullmatch(name)
    if match:
        stage, unit, layer, role = match.groups()
        layer = f"stage{stage}_unit{int(unit) + 1}_{UNIT_LAYERS.get(layer, layer)}"
    else:
        layer, _, role = name.rpartition(".")
        if layer not in LAYERS:
            raise UserError(f"{source}: {name!r:.60} is not an array of an IResNet of arcface_torch")
        layer = LAYERS[layer]
    if layer.rpartition("_")[2].startswith("relu"):
        role = "gamma" if role == "weight" else role
    elif "conv" not in layer and layer != "pre_fc1":
        role = ROLES.get(role, role)
    return f"{layer}_{role}"


def _graph(arrays: Mapping[str, np.ndarray], source: str, convention: Convention) -> Tuple[mx.sym.Symbol, int]:
    """Return the graph for arrays by MXNet's names, and the side of its images."""
    import mxnet as mx

    from arcface_mx.symbols.backbones.iresnet import iresnet

    units = []
    for stage in range(1, 5):
        numbers = [int(name.split("unit")[1].split("_")[0]) for name in arrays if name.startswith(f"stage{stage}_unit")]
        units.append(len(set(numbers)))
    first, dense, last = (arrays.get(name) for name in ("conv0_weight", "pre_fc1_weight", "bn1_gamma"))
    if not all(0 < count <= MAX_UNITS for count in units) or first is None or dense is None or last is None:
        raise UserError(f"{source}: is not an IResNet of arcface_torch: layers are missing")
    if first.ndim != 4 or dense.ndim != 2 or last.ndim != 1 or not all(dense.shape) or not last.size:
        raise UserError(f"{source}: is not an IResNet of arcface_torch: its shapes differ")
    side = STRIDE * math.isqrt(dense.shape[1] // last.size)
    if side < STRIDE or len(first) > 4096 or side > 1024:
        raise UserError(f"{source}: is not an IResNet of arcface_torch: its shapes differ")
    with mx.name.NameManager():
        size, width = len(dense), len(first) / 64
        graph = Graph(iresnet(mx.sym.Variable("data"), 50, size, width=width, units=units, input_size=side))
    for node in graph.nodes():
        if node.op == "BatchNorm":
            node.attrs.update(eps=EPS, fix_gamma="False")
        elif node.op == "_minus_scalar":
            node.attrs["scalar"] = str(convention.mean)
        elif node.op == "_mul_scalar":
            node.attrs["scalar"] = str(1 / convention.scale)
    return graph.symbol(), side
