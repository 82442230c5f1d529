"""The backbone of a training run: its graph, its arrays and its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple

from arcface_mx.config import NetworkConfig
from arcface_mx.model.attributes import describe, with_attributes
from arcface_mx.model.save import save_model
from arcface_mx.model.trainable import trainable
from arcface_mx.util.devices import CPU_SETTINGS, DeviceSettings, device_settings
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from mxnet.symbol import Symbol

    from arcface_mx.model.embedder import Embedder

INIT = "init"  # the name of the network that is the graph of `init`
Arrays = Dict[str, Any]  # NDArrays by name


@dataclass(frozen=True)
class Backbone:
    """A network from pixels to embeddings.

    Attributes
    ----------
    network : NetworkConfig
    image_size : int
        Side of the input in pixels.
    embedding_size : int
    graph : Symbol, optional
        The graph of `init`, for the network "init".
    settings : DeviceSettings
        What depends on the kind of device.
    """

    network: NetworkConfig
    image_size: int
    embedding_size: int
    graph: Optional[Symbol] = None
    settings: DeviceSettings = CPU_SETTINGS

    @property
    def half_precision(self) -> bool:
        """Whether the layers compute in float16."""
        return self.network.dtype == "float16"

    @property
    def input_shape(self) -> Tuple[int, int, int]:
        """Shape of one image."""
        return 3, self.image_size, self.image_size

    def symbol(self, training: bool = False) -> Symbol:
        """Return the graph from "data", shape (N, 3, side, side), RGB 0 to 255, to "fc1", shape (N, d), float32.

        Parameters
        ----------
        training : bool
            Return the graph as it is trained on these devices, in the stated dtype (`trainable`).

        Raises
        ------
        UserError
            If the network is unknown or does not take these settings.
        """
        import mxnet as mx

        half = training and self.half_precision
        data = mx.sym.Variable("data")
        pixels = mx.sym.Cast(data, dtype="float16") if half else data
        if self.graph is None:
            embedding = self._built(pixels, training)
        else:
            embedding = self.graph(data=pixels) if half else self.graph
        embedding = mx.sym.Cast(embedding, dtype="float32") if half else embedding
        return self._trainable(embedding) if training else embedding

    def _built(self, pixels: Symbol, training: bool) -> Symbol:
        """Return the graph of the builder that the network names."""
        from arcface_mx import symbols

        try:
            return symbols.backbone(
                self.network.network,
                pixels,
                embedding_size=self.embedding_size,
                width=self.network.width,
                units=self.network.units or None,
                input_size=self.image_size,
                dropout=self.network.dropout,
                fast_prelu=training and self.settings.fast_prelu,
                frozen_batchnorm=self.network.freeze_batchnorm,
            )
        except ValueError as error:
            raise UserError(f"`network` {self.network.network}: {error}")

    def _trainable(self, symbol: Symbol) -> Symbol:
        return trainable(symbol, self.settings.cudnn_dropout, data=(1, *self.input_shape))

    def training_shapes(self) -> Dict[str, Tuple[int, ...]]:
        """Return the shape of each parameter and each auxiliary state while training."""
        symbol = self.symbol(training=True)
        arguments, _, states = symbol.infer_shape(data=(1, *self.input_shape))
        shapes = dict(zip(symbol.list_arguments() + symbol.list_auxiliary_states(), arguments + states))
        del shapes["data"]
        return shapes

    def file_symbol(self) -> Symbol:
        """Return the graph for a file: unnamed operators are numbered from 0, so that one network is one file."""
        import mxnet as mx

        with mx.name.NameManager():
            return self.symbol()

    def arrays_of(self, symbol: Symbol, arg_params: Arrays, aux_params: Arrays) -> Tuple[Arrays, Arrays]:
        """Return those arrays of a training state that `symbol` needs, in its shapes.

        PReLU slopes are (C, 1, 1, 1) while training on CPUs and (C,) in the standard operator.
        """
        shapes, _, _ = symbol.infer_shape(data=(1, *self.input_shape))
        arrays = {
            name: arg_params[name].reshape(shape)
            for name, shape in zip(symbol.list_arguments(), shapes)
            if name != "data"
        }
        return arrays, {name: aux_params[name] for name in symbol.list_auxiliary_states()}

    def save(self, arg_params: Arrays, aux_params: Arrays, folder: str) -> str:
        """Write the embedding network of a training state; return the prefix `folder`/model.

        The graph holds standard operators only and ends at "fc1", the embedding before normalisation.
        """
        symbol = self.file_symbol()
        args, aux = self.arrays_of(symbol, arg_params, aux_params)
        side = (self.image_size, self.image_size)
        symbol = with_attributes(symbol, "data", describe(side, self.embedding_size))
        return save_model(symbol, args, aux, folder)


def make_backbone(network: NetworkConfig, image_size: int, init: str = "", devices: str = "cpu") -> Backbone:
    """Resolve the settings of a network into a Backbone.

    Parameters
    ----------
    network : NetworkConfig
    image_size : int
    init : str
        The model whose graph is taken if the network is "init".
    devices : str
        The devices of the run.

    Raises
    ------
    UserError
        If `init` is missing, cannot be trained, or has another size than the settings ask for.
    """
    settings = device_settings(devices)
    if network.network != INIT:
        return Backbone(network, image_size, network.embedding_size, None, settings)
    if not init:
        raise UserError("`network` is init, the graph of `init`, and `init` is missing")
    from arcface_mx.config import DataConfig
    from arcface_mx.model.load import load_model
    from arcface_mx.symbols.centres import embedding_width

    model = load_model(init)
    try:
        embedding_width(model.symbol)
    except ValueError as error:
        raise UserError(f"`init` {init}: cannot be trained: {error}") from error
    height, width = model.input_size
    if height != width:
        raise UserError(f"`init` {init}: takes images of {height}×{width}; training takes square images")
    sizes = (
        ("image_size", image_size, DataConfig.image_size, height),
        ("embedding_size", network.embedding_size, NetworkConfig.embedding_size, model.embedding_size),
    )
    for name, asked, default, size in sizes:
        if asked not in (default, size):
            raise UserError(f"`{name}` is {asked}, but the model of `init` has {size}; remove the flag")
    graph = _training_graph(model, network.freeze_batchnorm)
    return Backbone(network, height, model.embedding_size, graph, settings)


def _training_graph(model: Embedder, freeze_batchnorm: bool) -> Symbol:
    """Return a model's graph up to its embedding, with its image input called "data"."""
    from arcface_mx.model.nodes import Graph

    graph = Graph(model.symbol)
    for node in graph.nodes():
        if node.op == "null" and node.name == model.image_input:
            node.name = "data"
        if node.op == "BatchNorm" and freeze_batchnorm:
            node.attrs["use_global_stats"] = "True"
    return graph.symbol()
