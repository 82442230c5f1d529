"""The embedding network of a configuration: its Symbol, its arrays, its files."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Tuple

from arcface_mx.config import DataConfig, NetworkConfig, TrainConfig
from arcface_mx.model.attributes import describe, with_attributes
from arcface_mx.model.save import save_model
from arcface_mx.util.errors import UserError

Symbol = Any
INIT = "init"  # the name of a network that is the graph of --init


def embedding_symbol(config: TrainConfig, training: bool = False) -> Symbol:
    """Pixels (N, 3, side, side) → embedding "fc1" (N, d), float32; `training` takes the fast PReLU and --dtype."""
    import mxnet as mx

    from arcface_mx import symbols

    if config.network.network == INIT:
        return _init_symbol(config)
    side, network = config.data.image_size, config.network
    data = mx.sym.Variable("data")
    half = training and network.dtype == "float16"
    try:
        embedding = symbols.backbone(
            network.network,
            mx.sym.Cast(data, dtype="float16") if half else data,
            embedding_size=network.embedding_size,
            width=network.width,
            units=network.units or None,
            input_size=side,
            dropout=network.dropout,
            fast_prelu=training,
            frozen_batchnorm=network.freeze_batchnorm,
        )
    except ValueError as error:
        raise UserError(f"--network {network.network}: {error}")
    return mx.sym.Cast(embedding, dtype="float32") if half else embedding


def standalone_symbol(config: TrainConfig) -> Symbol:
    """`embedding_symbol` for a file: unnamed operators are numbered from 0, so that one network is one file."""
    import mxnet as mx

    with mx.name.NameManager():
        return embedding_symbol(config)


def with_init_sizes(config: TrainConfig) -> TrainConfig:
    """For --network init: the configuration with the model's own image and embedding size.

    Raises UserError where --init is missing, or a flag asks for another size than the model has.
    """
    if config.network.network != INIT:
        return config
    if not config.run.init:
        raise UserError("--network init: is the graph of --init, which is missing")
    from arcface_mx.model import load_model
    from arcface_mx.symbols.centres import embedding_width

    model = load_model(config.run.init)
    try:
        embedding_width(model.symbol)
    except ValueError as error:
        raise UserError(f"--init {config.run.init}: cannot be trained on: {error}") from error
    height, width = model.input_size
    if height != width:
        raise UserError(f"--init {config.run.init}: takes images of {height}×{width}; training takes square ones")
    sizes = (
        ("--image-size", config.data.image_size, DataConfig.image_size, height),
        ("--embedding-size", config.network.embedding_size, NetworkConfig.embedding_size, model.embedding_size),
    )
    for flag, asked, default, own in sizes:
        if asked not in (default, own):
            raise UserError(f"{flag} {asked}: the model of --init has {own}; leave the flag away")
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, image_size=height),
        network=dataclasses.replace(config.network, embedding_size=model.embedding_size),
    )


def _init_symbol(config: TrainConfig) -> Symbol:
    """The graph of --init up to its embedding, its image input called "data"; it has its own dropout."""
    from arcface_mx.model import load_model
    from arcface_mx.model.nodes import Graph

    model = load_model(config.run.init)
    graph = Graph(model.symbol)
    for node in graph.nodes():
        if node.op == "null" and node.name == model.image_input:
            node.name = "data"
        if node.op == "BatchNorm" and config.network.freeze_batchnorm:
            node.attrs["use_global_stats"] = "True"
    return graph.symbol()


def embedding_arrays(
    symbol: Any, side: int, arg_params: Dict[str, Any], aux_params: Dict[str, Any]
) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """The arrays of a training state that `symbol` needs, in its shapes (PReLU slopes become (C,))."""
    arg_shapes, _, _ = symbol.infer_shape(data=(1, 3, side, side))
    arrays = {}
    for name, shape in zip(symbol.list_arguments(), arg_shapes):
        if name != "data":
            arrays[name] = arg_params[name].reshape(shape)
    return arrays, {name: aux_params[name] for name in symbol.list_auxiliary_states()}


def save_embedding(config: TrainConfig, arg_params: Dict[str, Any], aux_params: Dict[str, Any], folder: str) -> str:
    """Write the embedding network of a training state; returns the prefix `folder`/model.

    The graph takes pixels 0–255, RGB, (N, 3, side, side), and ends at "fc1", the N×d embedding,
    not normalised. Standard operators only.
    """
    side = config.data.image_size
    symbol = standalone_symbol(config)
    args, aux = embedding_arrays(symbol, side, arg_params, aux_params)
    symbol = with_attributes(symbol, "data", describe((side, side), config.network.embedding_size))
    return save_model(symbol, args, aux, folder)
