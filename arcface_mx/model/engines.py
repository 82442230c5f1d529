"""What computes embeddings: MXNet, or ONNX Runtime.

An engine starts on a batch and gives it back later, so that the next photos are decoded meanwhile.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Tuple, Union

import numpy as np

from arcface_mx.model.graph import Size, mxnet_reason
from arcface_mx.model.optimise import fast_form
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import fingerprint

if TYPE_CHECKING:
    import mxnet as mx

PARAMETERS_DIGEST = "arcface_parameters_sha256"  # in an int8 file: of the parameter file whose form it is
Pending = Callable[[], np.ndarray]  # waits; (n, d) float32


class Network(NamedTuple):
    """A graph with its arrays. image, size: name and (H, W) of its input. name: what messages call it."""

    symbol: mx.sym.Symbol
    arg_params: Dict[str, Any]
    aux_params: Dict[str, Any]
    image: str
    size: Size
    name: str


class MxnetEngine:
    """The network as an MXNet Module over `contexts`, each of which takes an equal share of a batch."""

    def __init__(self, network: Network, contexts: List[mx.Context]) -> None:
        self._network, self._contexts = network, contexts
        self._module: Any = None
        self._batch = 0  # what the module is bound for

    def start(self, pixels: np.ndarray, most: int) -> Pending:
        """Begin with `pixels` (n, 3, H, W), float32; most: the largest n to come. Raises UserError where MXNet fails."""
        import mxnet as mx

        try:
            self._bind(max(len(pixels), min(most, self._batch)))
            if len(pixels) < self._batch:
                pixels = np.concatenate([pixels, np.zeros((self._batch - len(pixels),) + pixels.shape[1:], np.float32)])
            self._module.forward(mx.io.DataBatch([mx.nd.array(pixels)]), is_train=False)
            # A copy: the next forward pass writes into the module's own outputs.
            return self._pending(self._module.get_outputs()[0].copy())
        except mx.base.MXNetError as error:
            raise self._failed(error) from error

    def _pending(self, outputs: Any) -> Pending:
        import mxnet as mx

        def wait() -> np.ndarray:
            try:
                return outputs.asnumpy().reshape(outputs.shape[0], -1)  # type: ignore[no-any-return]
            except mx.base.MXNetError as error:  # operators run later, and fail here
                raise self._failed(error) from error

        return wait

    def _failed(self, error: Exception) -> UserError:
        import mxnet as mx

        self._module, self._batch = None, 0  # of no more use
        with contextlib.suppress(mx.base.MXNetError):
            mx.nd.waitall()  # MXNet tells an operator's failure once more to whoever waits next
        return UserError(f"{self._network.name}: cannot run: {mxnet_reason(error)}")

    def _bind(self, batch: int) -> None:
        """Make the module ready for `batch` images, rounded up to a multiple of the devices."""
        import mxnet as mx

        batch = -(-batch // len(self._contexts)) * len(self._contexts)
        if batch == self._batch:
            return
        symbol, arg_params, aux_params = self._form()
        image, size = self._network.image, self._network.size
        self._module = mx.mod.Module(symbol, data_names=[image], label_names=None, context=self._contexts)
        self._module.bind([(image, (batch, 3) + size)], for_training=False)
        self._module.set_params(arg_params, aux_params)
        self._batch = batch

    def _form(self) -> Tuple[Any, Dict[str, Any], Dict[str, Any]]:
        """Symbol and parameters that run: on CPUs the fast form."""
        symbol, arg_params, aux_params, image, size, _ = self._network
        if any(context.device_type != "cpu" for context in self._contexts):
            return symbol, arg_params, aux_params
        return fast_form(symbol, arg_params, aux_params, image, size)


class OnnxEngine:
    """An ONNX model's bytes in ONNX Runtime on the CPU. name: what messages call it. Raises UserError where they are none."""

    def __init__(self, data: bytes, name: str) -> None:
        from arcface_mx.model.to_onnx import onnx_session

        self._session, self._name = onnx_session(data, name), name
        self._image = self._session.get_inputs()[0].name
        self.metadata: Dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self._worker = ThreadPoolExecutor(1)  # it computes while photos are decoded

    def start(self, pixels: np.ndarray, most: int) -> Pending:
        """Begin with `pixels` (n, 3, H, W), float32; any n at any time. Waiting raises UserError where ONNX Runtime fails."""
        future = self._worker.submit(self._session.run, None, {self._image: pixels})

        def wait() -> np.ndarray:
            try:
                return future.result()[0].reshape(len(pixels), -1)  # type: ignore[no-any-return]
            except Exception as error:  # ONNX Runtime's exceptions have no common class
                raise UserError(f"{self._name}: cannot run: {str(error).splitlines()[0]}") from error

        return wait


Engine = Union[MxnetEngine, OnnxEngine]


def onnx_engine(network: Network) -> OnnxEngine:
    """The network, BatchNorm folded, in ONNX Runtime: MXNet's unit embeddings to 1e-4.

    Raises UserError where the extra `export` is missing or an operator has no ONNX form.
    """
    from arcface_mx.model.fold import fold_batchnorm
    from arcface_mx.model.to_onnx import onnx_bytes

    symbol, arg_params, aux_params = fold_batchnorm(network.symbol, network.arg_params, network.aux_params)
    return OnnxEngine(onnx_bytes(symbol, arg_params, aux_params, network.image, network.size, {}), network.name)


def int8_engine(path: str, parameters: str) -> OnnxEngine:
    """The int8 form that export wrote to `path`. Raises UserError where it is not there, or not that of the file `parameters`."""
    try:
        with open(path, "rb") as stream:
            engine = OnnxEngine(stream.read(), path)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; arcface-mx export --int8 --out FOLDER makes it, beside the model"
        ) from error
    if engine.metadata.get(PARAMETERS_DIGEST) != fingerprint(parameters):
        raise UserError(f"{path}: is not a form of {parameters}; export both again")
    return engine
