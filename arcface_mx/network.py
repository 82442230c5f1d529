"""The embedding network of a configuration: its Symbol and its arrays."""

from __future__ import annotations

from typing import Any, Dict, Tuple

from arcface_mx.config import TrainConfig
from arcface_mx.errors import UserError

Symbol = Any


def embedding_symbol(config: TrainConfig, training: bool = False) -> Symbol:
    """Pixels (N, 3, side, side) → embedding "fc1" (N, d); `training` takes the fast PReLU."""
    import mxnet as mx

    from arcface_mx import symbols

    side, network = config.data.image_size, config.network
    data = mx.sym.Variable("data")
    try:
        return symbols.backbone(
            network.network,
            data,
            embedding_size=network.embedding_size,
            width=network.width,
            units=network.units or None,
            input_size=side,
            dropout=network.dropout,
            fast_prelu=training,
            frozen_batchnorm=network.freeze_batchnorm,
        )
    except ValueError as error:
        raise UserError("--network %s: %s" % (network.network, error))


def embedding_arrays(symbol: Any, side: int, arg_params: Dict[str, Any], aux_params: Dict[str, Any]) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """The arrays of a training state that `symbol` needs, in its shapes (PReLU slopes become (C,))."""
    arg_shapes, _, _ = symbol.infer_shape(data=(1, 3, side, side))
    arrays = {}
    for name, shape in zip(symbol.list_arguments(), arg_shapes):
        if name != "data":
            arrays[name] = arg_params[name].reshape(shape)
    return arrays, {name: aux_params[name] for name in symbol.list_auxiliary_states()}
