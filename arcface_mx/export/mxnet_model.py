"""The embedding network as `model-symbol.json` + `model-0000.params`, MXNet's own format."""

from __future__ import annotations

import os
from typing import Any, Dict

from arcface_mx.config import TrainConfig
from arcface_mx.files import sync_folder
from arcface_mx.network import embedding_arrays, embedding_symbol


def save_embedding(config: TrainConfig, arg_params: Dict[str, Any], aux_params: Dict[str, Any], folder: str) -> str:
    """Write `folder`/model-symbol.json and model-0000.params; returns the prefix `folder`/model.

    The graph takes pixels 0–255, RGB, (N, 3, side, side), and ends at "fc1", the N×d embedding,
    not normalised. Standard operators only.
    """
    import mxnet as mx

    symbol = embedding_symbol(config)
    args, aux = embedding_arrays(symbol, config.data.image_size, arg_params, aux_params)
    prefix = os.path.join(folder, "model")
    os.makedirs(folder, exist_ok=True)
    symbol_file, array_file = prefix + "-symbol.json", prefix + "-0000.params"
    mx.nd.save(array_file + ".tmp", dict({"arg:" + k: v for k, v in args.items()}, **{"aux:" + k: v for k, v in aux.items()}))
    with open(symbol_file + ".tmp", "w", encoding="utf-8") as stream:
        stream.write(symbol.tojson())
    for path in (array_file, symbol_file):
        with open(path + ".tmp", "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(path + ".tmp", path)
    sync_folder(folder)
    return prefix
