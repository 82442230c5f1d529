"""`arcface_mx.load`: a model by its name, on devices by their names."""

from __future__ import annotations

from typing import Optional, Union

from arcface_mx.model.embedder import Embedder
from arcface_mx.model.load import load_model
from arcface_mx.util.devices import parse_devices

__all__ = ["load"]


def load(
    model: str,
    devices: str = "cpu",
    layer: Optional[str] = None,
    engine: str = "mxnet",
    input: Optional[str] = None,
) -> Embedder:
    """Load a model that embeds aligned crops of faces.

    Parameters
    ----------
    model : str
        A run folder, a folder of `arcface-mx export`, PREFIX,EPOCH of an MXNet model, or an ONNX file.
    devices : str
        "cpu", "gpu(0)" or "gpu(0),gpu(1)".
    layer : str, optional
        Layer whose output is the embedding. The default is found in the graph.
    engine : {"mxnet", "onnx", "int8", "auto"}
        What computes. "auto" is the faster of "mxnet" and "onnx", by a measurement at the first batch. An ONNX file
        always runs in ONNX Runtime.
    input : str, optional
        What the network takes, as ORDER,MEAN,SCALE: "rgb,127.5,128" is (pixel − 127.5) / 128 in the order red,
        green, blue. The default is what the model states. A model of MXNet that states nothing takes
        RGB pixels from 0 to 255; an ONNX file takes "rgb,127.5,127.5", or pixels from 0 to 255
        where its graph begins with a normalisation.

    Returns
    -------
    Embedder
        Its method ``embed`` takes images and returns an array of shape (n, d).

    Raises
    ------
    UserError
        If files are missing or unreadable, or the parameters do not fit the graph.
    """
    return load_model(model, parse_devices(devices), layer, engine, input)


def as_embedder(model: Union[str, Embedder]) -> Embedder:
    """Return the model itself, or load it if it is a name."""
    return load(model) if isinstance(model, str) else model
