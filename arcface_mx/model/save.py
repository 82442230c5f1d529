"""A network as `model-symbol.json` + `model-0000.params`, MXNet's own format."""

from __future__ import annotations

import os
from typing import Any, Dict

from arcface_mx.model.load import SYMBOL_DIGEST, graph_digest
from arcface_mx.util.files import atomic_write
from arcface_mx.util.params import write_arrays


def save_model(symbol: Any, arg_params: Dict[str, Any], aux_params: Dict[str, Any], folder: str) -> str:
    """Write a graph and its arrays, each file whole or not at all; returns the prefix `folder`/model.

    The parameter file holds a checksum of each array and one of the graph (see array_file.py), which
    `load_model` compares.
    """
    arrays = dict({"arg:" + k: v for k, v in arg_params.items()}, **{"aux:" + k: v for k, v in aux_params.items()})
    prefix, text = os.path.join(folder, "model"), symbol.tojson()
    with atomic_write(prefix + "-0000.params") as stream:
        write_arrays(stream, arrays, {SYMBOL_DIGEST: graph_digest(text)})
    with atomic_write(prefix + "-symbol.json", "w") as stream:
        stream.write(text)
    return prefix
