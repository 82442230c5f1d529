"""The embedding network as `model-symbol.json` + `model-0000.params`, MXNet's own format."""

from __future__ import annotations

import os
from typing import Any, Dict

from arcface_mx.array_file import write_arrays
from arcface_mx.config import TrainConfig
from arcface_mx.export.attributes import describe, with_attributes
from arcface_mx.files import whole_file
from arcface_mx.model.load import SYMBOL_DIGEST, graph_digest
from arcface_mx.network import embedding_arrays, standalone_symbol


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


def save_model(symbol: Any, arg_params: Dict[str, Any], aux_params: Dict[str, Any], folder: str) -> str:
    """Write a graph and its arrays, each file whole or not at all; returns the prefix `folder`/model.

    The parameter file holds a checksum of each array and one of the graph (see array_file.py), which
    `load_model` compares.
    """
    arrays = dict({"arg:" + k: v for k, v in arg_params.items()}, **{"aux:" + k: v for k, v in aux_params.items()})
    prefix, text = os.path.join(folder, "model"), symbol.tojson()
    with whole_file(prefix + "-0000.params") as stream:
        write_arrays(stream, arrays, {SYMBOL_DIGEST: graph_digest(text)})
    with whole_file(prefix + "-symbol.json", "w") as stream:
        stream.write(text)
    return prefix
