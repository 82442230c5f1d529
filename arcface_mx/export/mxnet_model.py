"""The embedding network as `model-symbol.json` + `model-0000.params`, MXNet's own format."""

from __future__ import annotations

import os
from typing import Any, Dict

from arcface_mx.config import TrainConfig
from arcface_mx.export.attributes import describe, with_attributes
from arcface_mx.files import sync_folder
from arcface_mx.network import embedding_arrays, embedding_symbol


def save_embedding(config: TrainConfig, arg_params: Dict[str, Any], aux_params: Dict[str, Any], folder: str) -> str:
    """Write the embedding network of a training state; returns the prefix `folder`/model.

    The graph takes pixels 0–255, RGB, (N, 3, side, side), and ends at "fc1", the N×d embedding,
    not normalised. Standard operators only.
    """
    symbol, side = embedding_symbol(config), config.data.image_size
    args, aux = embedding_arrays(symbol, side, arg_params, aux_params)
    symbol = with_attributes(symbol, "data", describe((side, side), config.network.embedding_size))
    return save_model(symbol, args, aux, folder)


def save_model(symbol: Any, arg_params: Dict[str, Any], aux_params: Dict[str, Any], folder: str) -> str:
    """Write a graph and its arrays, each file whole or not at all; returns the prefix `folder`/model."""
    import mxnet as mx

    prefix = os.path.join(folder, "model")
    os.makedirs(folder, exist_ok=True)
    symbol_file, array_file = prefix + "-symbol.json", prefix + "-0000.params"
    arrays = {"arg:" + name: value for name, value in arg_params.items()}
    arrays.update({"aux:" + name: value for name, value in aux_params.items()})
    mx.nd.save(array_file + ".tmp", arrays)
    with open(symbol_file + ".tmp", "w", encoding="utf-8") as stream:
        stream.write(symbol.tojson())
    for path in (array_file, symbol_file):
        with open(path + ".tmp", "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(path + ".tmp", path)
    sync_folder(folder)
    return prefix
