"""The embedding network as `model-symbol.json` + `model-0000.params`, MXNet's own format."""

from __future__ import annotations

import os
from typing import Any, Dict

from arcface_mx.array_file import write_arrays
from arcface_mx.config import TrainConfig
from arcface_mx.files import whole_file
from arcface_mx.model.load import SYMBOL_DIGEST, graph_digest
from arcface_mx.network import embedding_arrays, embedding_symbol


def save_embedding(config: TrainConfig, arg_params: Dict[str, Any], aux_params: Dict[str, Any], folder: str) -> str:
    """Write `folder`/model-symbol.json and model-0000.params; returns the prefix `folder`/model.

    The graph takes pixels 0–255, RGB, (N, 3, side, side), and ends at "fc1", the N×d embedding,
    not normalised. Standard operators only. The parameter file holds a checksum of each array and one
    of the graph (see array_file.py), which `load_model` compares.
    """
    import mxnet as mx

    with mx.name.NameManager():  # unnamed operators are numbered from 0: one network, one file
        symbol = embedding_symbol(config)
    args, aux = embedding_arrays(symbol, config.data.image_size, arg_params, aux_params)
    arrays = dict({"arg:" + k: v for k, v in args.items()}, **{"aux:" + k: v for k, v in aux.items()})
    prefix, text = os.path.join(folder, "model"), symbol.tojson()
    with whole_file(prefix + "-0000.params") as stream:
        write_arrays(stream, arrays, {SYMBOL_DIGEST: graph_digest(text)})
    with whole_file(prefix + "-symbol.json", "w") as stream:
        stream.write(text)
    return prefix
