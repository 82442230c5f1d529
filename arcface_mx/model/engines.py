"""What computes embeddings: MXNet or ONNX Runtime.

An engine starts to compute a batch and returns the result later, so that the next images are
decoded in the meantime.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Union

import numpy as np

from arcface_mx.model.fold import fold_batchnorm
from arcface_mx.model.graph import Size, mxnet_reason
from arcface_mx.model.onnx_file import check_seal
from arcface_mx.model.optimise import optimise
from arcface_mx.model.to_onnx import missing_package, to_onnx
from arcface_mx.util.environment import num_threads
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import fingerprint
from arcface_mx.util.threads import OtherProcesses, describe, fastest, is_open, measure, set_threads

if TYPE_CHECKING:
    import mxnet as mx

LOGGER = logging.getLogger(__name__)
PARAMETERS_DIGEST = "arcface_parameters_sha256"  # SHA-256, in an int8 file
Pending = Callable[[], np.ndarray]  # waits for the result: (n, d), float32


class Network(NamedTuple):
    """A graph from images to embeddings, with its arrays."""

    symbol: mx.sym.Symbol
    arg_params: Dict[str, mx.nd.NDArray]
    aux_params: Dict[str, mx.nd.NDArray]
    image: str  # name of the image input
    size: Size  # height and width of the image input
    name: str  # what messages call the network

    def folded(self) -> Network:
        """Return the same network at inference, with BatchNorm folded into its neighbours."""
        symbol, arg_params, aux_params = fold_batchnorm(self.symbol, self.arg_params, self.aux_params)
        return self._replace(symbol=symbol, arg_params=arg_params, aux_params=aux_params)

    def optimised(self) -> Network:
        """Return the same network at inference, in the form that is fastest on CPUs."""
        symbol, arg_params, aux_params = optimise(*self[:5])
        return self._replace(symbol=symbol, arg_params=arg_params, aux_params=aux_params)

    def to_onnx(self, metadata: Mapping[str, str]) -> bytes:
        """Return the network as the bytes of an ONNX file; see ``to_onnx.to_onnx``."""
        return to_onnx(*self[:5], metadata)


class MxnetEngine:
    """The network as an MXNet Module; each of `contexts` takes an equal share of a batch.

    On CPUs it computes the optimised form of the graph, unless `optimise` is False.
    """

    kind = "mxnet"

    def __init__(self, network: Network, contexts: List[mx.Context], optimise: bool = True) -> None:
        self._network, self._contexts = network, contexts
        self._optimise = optimise and all(context.device_type == "cpu" for context in contexts)
        self._module: Optional[mx.mod.Module] = None
        self._batch_size = 0  # the batch size that the module is bound for

    def start(self, pixels: np.ndarray, max_batch: int) -> Pending:
        """Start to compute `pixels` (n, 3, H, W), float32; no batch is larger than `max_batch`."""
        import mxnet as mx

        try:
            module = self._bind(max(len(pixels), min(max_batch, self._batch_size)))
            if len(pixels) < self._batch_size:
                padding = np.zeros((self._batch_size - len(pixels),) + pixels.shape[1:], np.float32)
                pixels = np.concatenate([pixels, padding])
            module.forward(mx.io.DataBatch([mx.nd.array(pixels)]), is_train=False)
            # A copy, because the next forward pass overwrites the module's outputs.
            return self._pending(module.get_outputs()[0].copy())
        except mx.base.MXNetError as error:
            raise self._failure(error) from error

    def choose_threads(self, pixels: np.ndarray, max_batch: int) -> None:
        """Take the number of threads with which a batch takes the shortest time. On GPUs nothing is measured."""
        if all(context.device_type == "cpu" for context in self._contexts):
            use = functools.partial(set_threads, contexts=self._contexts)
            _choose_threads(lambda: self.start(pixels, max_batch)(), use, self._contexts)

    def _pending(self, outputs: mx.nd.NDArray) -> Pending:
        import mxnet as mx

        def wait() -> np.ndarray:
            try:
                return outputs.asnumpy().reshape(outputs.shape[0], -1)  # type: ignore[no-any-return]
            except mx.base.MXNetError as error:  # MXNet runs operators asynchronously, so they fail here
                raise self._failure(error) from error

        return wait

    def _failure(self, error: Exception) -> UserError:
        import mxnet as mx

        self._module, self._batch_size = None, 0  # a module that failed cannot be used again
        with contextlib.suppress(mx.base.MXNetError):
            mx.nd.waitall()  # MXNet raises the error of an operator a second time at the next wait
        return UserError(f"{self._network.name}: cannot run: {mxnet_reason(error)}")

    def _bind(self, batch_size: int) -> mx.mod.Module:
        """Return the module, bound for `batch_size` images or a few more to fill all devices."""
        import mxnet as mx

        batch_size = -(-batch_size // len(self._contexts)) * len(self._contexts)
        if self._module is None or batch_size != self._batch_size:
            network = self._network.optimised() if self._optimise else self._network
            module = mx.mod.Module(network.symbol, data_names=[network.image], label_names=None, context=self._contexts)
            module.bind([(network.image, (batch_size, 3) + network.size)], for_training=False)
            module.set_params(network.arg_params, network.aux_params)
            self._module, self._batch_size = module, batch_size
        return self._module


class OnnxEngine:
    """An ONNX model, given as the bytes of its file, in ONNX Runtime on the CPU.

    `name` is what messages call the model. `batch` is the number of images that the graph takes at a time, 0
    for any, and `output` the name of the output to return, where there are several. Raises UserError if ONNX
    Runtime is missing or cannot load the model. `kind` is what records call the engine.
    """

    def __init__(
        self, data: bytes, name: str, batch: int = 0, output: Optional[str] = None, kind: str = "onnx"
    ) -> None:
        self.kind = kind
        self._session, self._name = onnx_session(data, name), name
        self._data = data if is_open() else b""  # for sessions with other numbers of threads
        self._image = self._session.get_inputs()[0].name
        self._batch, self._outputs = batch, [output or self._session.get_outputs()[0].name]
        self._thread = ThreadPoolExecutor(1)
        self.metadata: Dict[str, str] = self._session.get_modelmeta().custom_metadata_map

    def start(self, pixels: np.ndarray, max_batch: int) -> Pending:
        """Start to compute `pixels` (n, 3, H, W), float32."""
        result = self._thread.submit(self.run, pixels)
        return lambda: result.result().reshape(len(pixels), -1)

    def choose_threads(self, pixels: np.ndarray, max_batch: int) -> None:
        """Take the number of threads with which a batch takes the shortest time."""
        if self._data:
            _choose_threads(lambda: self.start(pixels, max_batch)(), self._use_threads, [])
            self._data = b""

    def _use_threads(self, count: int) -> None:
        self._session = onnx_session(self._data, self._name, count)

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Return the output for `pixels` (n, 3, H, W), float32, in the shape that the graph gives it."""
        batch = self._batch or len(pixels)
        parts = []
        try:
            for start in range(0, len(pixels), batch):
                part = pixels[start : start + batch]
                if len(part) < batch:
                    padding = np.zeros((batch - len(part),) + part.shape[1:], np.float32)
                    part = np.concatenate([part, padding])
                parts.append(self._session.run(self._outputs, {self._image: part})[0])
        except Exception as error:  # ONNX Runtime's exceptions have no common class
            raise UserError(f"{self._name}: cannot run: {str(error).splitlines()[0]}") from error
        if any(len(part) != batch for part in parts):
            raise UserError(f"{self._name}: its output has shape {parts[0].shape} for {batch} images")
        return np.concatenate(parts)[: len(pixels)] if len(parts) > 1 else parts[0][: len(pixels)]


Engine = Union[MxnetEngine, OnnxEngine]


def _choose_threads(batch: Callable[[], object], use: Callable[[int], None], contexts: List[mx.Context]) -> None:
    """Measure a batch by number of threads, use the fastest, and say so if these are not all."""
    others = OtherProcesses()
    times = measure(batch, use)
    if fastest(times) != max(times):
        LOGGER.info("threads: %s", describe(times, others.cores(), "a batch"))
    use(fastest(times))
    set_threads(fastest(times), contexts)  # for the engines to come


def onnx_session(data: bytes, name: str, threads: int = 0) -> Any:
    """Return an InferenceSession on the CPU with a number of threads, or with as many as MXNet uses.

    `name` is what messages call the model. Raises UserError if ONNX Runtime is missing or cannot
    load the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_package(error) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, threads or num_threads()
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common class
        raise UserError(f"{name}: ONNX Runtime cannot load it: {str(error).splitlines()[0]}") from error


def onnx_engine(network: Network) -> OnnxEngine:
    """Return the network in ONNX Runtime, with BatchNorm folded.

    Unit embeddings equal MXNet's to 1e-4. Raises UserError if a package is missing or an operator
    has no ONNX form.
    """
    return OnnxEngine(network.folded().to_onnx({}), network.name)


def int8_engine(path: str, parameters: str) -> OnnxEngine:
    """Load the int8 form. Raises UserError if it was not made from the file `parameters`."""
    try:
        with open(path, "rb") as stream:
            data = stream.read()
        check_seal(data, path, needed=True)
        engine = OnnxEngine(data, path, kind="int8")
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; arcface-mx export --int8 --out FOLDER writes it beside the model"
        ) from error
    if engine.metadata.get(PARAMETERS_DIGEST) != fingerprint(parameters):
        raise UserError(f"{path}: was not made from {parameters}; export both again")
    return engine
