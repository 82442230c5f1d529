"""Write a network as `model-symbol.json` and `model-0000.params`, MXNet's own format."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Dict

from arcface_mx.model import trial
from arcface_mx.model.load import SYMBOL_DIGEST, graph_digest
from arcface_mx.util.files import atomic_write
from arcface_mx.util.params import write_arrays

if TYPE_CHECKING:
    import mxnet as mx


def save_model(
    symbol: mx.sym.Symbol, arg_params: Dict[str, mx.nd.NDArray], aux_params: Dict[str, mx.nd.NDArray], folder: str
) -> str:
    """Write a network into a folder.

    Parameters
    ----------
    symbol : Symbol
        The graph.
    arg_params, aux_params : dict of str to NDArray
        Its parameters and auxiliary states.
    folder : str
        The folder to write to; it is made if necessary.

    Returns
    -------
    str
        The prefix `folder`/model.

    Notes
    -----
    Each file appears whole or not at all. The parameter file holds a checksum of each array and one
    of the graph (see ``util/params.py``), which ``load_model`` compares.
    """
    prefix = os.path.join(folder, "model")
    save_prefix(symbol, arg_params, aux_params, prefix)
    return prefix


def save_prefix(
    symbol: mx.sym.Symbol, arg_params: Dict[str, mx.nd.NDArray], aux_params: Dict[str, mx.nd.NDArray], prefix: str
) -> None:
    """Write a network as PREFIX-symbol.json and PREFIX-0000.params, as `save_model` does."""
    arrays = {"arg:" + name: value for name, value in arg_params.items()}
    arrays.update({"aux:" + name: value for name, value in aux_params.items()})
    text = symbol.tojson()
    with atomic_write(prefix + "-0000.params") as stream:
        write_arrays(stream, arrays, {SYMBOL_DIGEST: graph_digest(text)})
    with atomic_write(prefix + "-symbol.json", "w") as stream:
        stream.write(text)
    trial.remember(text, arg_params, aux_params)
