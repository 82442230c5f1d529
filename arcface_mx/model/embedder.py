"""Run an embedding graph over images: batches, devices, resizing, the mirror image."""

from __future__ import annotations

import itertools
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from arcface_mx.data.images import decode_rgb
from arcface_mx.model.engines import Engine, MxnetEngine, Network, Pending
from arcface_mx.model.graph import Size, image_input, misfit
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    import mxnet as mx

Image = Union[np.ndarray, bytes]  # uint8 (height, width, 3) RGB, or encoded

# Photos at once on each device, by `bench batch` of version 0.1. On a CPU more are no faster, for MobileFaceNet a sixth
# slower, and take memory: MXNet's oneDNN path keeps every layer's output, 20 MB an image for MobileFaceNet. On a
# GPU, where it was not measured, few leave it idle.
BATCH_SIZES = {"cpu": 8, "gpu": 64}
CROP, NARROW_CROP = (112, 112), (112, 96)  # the aligned crops of the field


class Embedder:
    """An embedding network with its parameters on a list of devices.

    symbol: graph from an N×3×H×W image (RGB, 0–255) to N×d. arg_params, aux_params: its parameters
    by name; more than it needs may be given. contexts: devices, each of which takes an equal share
    of a batch; one CPU when None. input_size: (H, W). name: what messages call the model. engine: makes
    what computes; MXNet when None (`engines.py` has the others).

    Raises UserError when parameters are missing or do not fit.
    """

    def __init__(
        self,
        symbol: mx.sym.Symbol,
        arg_params: Mapping[str, Any],
        aux_params: Mapping[str, Any],
        contexts: Optional[List[mx.Context]] = None,
        input_size: Size = CROP,
        name: str = "model",
        engine: Optional[Callable[[Network], Engine]] = None,
    ) -> None:
        import mxnet as mx

        self.name, self.symbol, self.input_size = name, symbol, input_size
        self.contexts = contexts or [mx.cpu()]
        self.notes: List[str] = []
        self._input = image_input(symbol, arg_params, aux_params, name)
        reason = misfit(symbol, self._input, arg_params, aux_params, input_size)
        if reason:
            raise UserError(f"{name}: does not fit the graph: {reason}")
        self._params = self._needed(arg_params, aux_params)
        self.embedding_size = self._embedding_size()
        self._make_engine = engine or (lambda network: MxnetEngine(network, self.contexts))
        self._engine: Optional[Engine] = None

    @property
    def image_input(self) -> str:
        """Name of the graph's image input."""
        return self._input

    @property
    def params(self) -> Tuple[Dict[str, Any], Dict[str, Any]]:
        """(arg_params, aux_params): the arrays that the graph uses, by name."""
        return dict(self._params[0]), dict(self._params[1])

    def set_params(self, arg_params: Mapping[str, Any], aux_params: Mapping[str, Any]) -> None:
        """Take other values for the parameters, of the same names and shapes (training goes on)."""
        self._params = self._needed(arg_params, aux_params)
        self._engine = None  # engines keep a copy of the weights

    def _needed(
        self, arg_params: Mapping[str, Any], aux_params: Mapping[str, Any]
    ) -> Tuple[Dict[str, Any], Dict[str, Any]]:
        arguments = [key for key in self.symbol.list_arguments() if key != self._input]
        states = self.symbol.list_auxiliary_states()
        return {key: arg_params[key] for key in arguments}, {key: aux_params[key] for key in states}

    def _embedding_size(self) -> int:
        shapes = {key: value.shape for key, value in self._params[0].items()}
        outputs = self.symbol.infer_shape(**{self._input: (2, 3) + self.input_size}, **shapes)[1]
        if len(outputs) != 1 or outputs[0][0] != 2 or any(length != 1 for length in outputs[0][2:]):
            raise UserError(f"{self.name}: its output has shape {outputs}, not (images, d)")
        return int(outputs[0][1])

    def embed(self, images: Iterable[Image], batch_size: Optional[int] = None, mirror: bool = False) -> np.ndarray:
        """Embeddings of n images: (n, d) float32, not normalised.

        images: uint8 (height, width, 3) RGB arrays or encoded bytes, streamed. mirror: add the
        embedding of the mirrored image to each, which runs in the same batch. batch_size: photos a batch,
        mirror images not counted; None takes `default_batch_size`. Raises UserError naming the image that is none.
        """
        plain, mirrored = self._run(images, batch_size, mirror)
        return plain + mirrored if mirror else plain

    def embed_with_mirror(
        self, images: Iterable[Image], batch_size: Optional[int] = None
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Embeddings of the images and of their mirror images: two arrays (n, d), float32."""
        return self._run(images, batch_size, mirror=True)

    @property
    def default_batch_size(self) -> int:
        """Photos a batch where nobody says how many."""
        return sum(BATCH_SIZES.get(context.device_type, BATCH_SIZES["cpu"]) for context in self.contexts)

    def _run(self, images: Iterable[Image], batch_size: Optional[int], mirror: bool) -> Tuple[np.ndarray, np.ndarray]:
        if batch_size is None:
            batch_size = self.default_batch_size
        if batch_size < 1:
            raise UserError(f"batch size {batch_size}: must be at least 1")
        results: List[np.ndarray] = []  # a batch each: its images, then their mirror images
        waiting: List[Tuple[Pending, int]] = []
        for batch in self._batches(images, batch_size):
            whole, most = (np.concatenate([batch, batch[..., ::-1]]), 2 * batch_size) if mirror else (batch, batch_size)
            # The engine computes this batch while the loop prepares the next one.
            waiting.append((self._started().start(whole, most), len(whole)))
            if len(waiting) > 1:
                results.append(_collected(*waiting.pop(0)))
        results += [_collected(*one) for one in waiting]
        empty = np.zeros((0, self.embedding_size), np.float32)
        if not mirror:
            return np.concatenate(results or [empty]), empty
        halves = [np.split(part, 2) for part in results] or [[empty, empty]]
        return np.concatenate([half[0] for half in halves]), np.concatenate([half[1] for half in halves])

    def _started(self) -> Engine:
        """The engine, made at the first batch."""
        if self._engine is None:
            self._engine = self._make_engine(self.network)
        return self._engine

    @property
    def network(self) -> Network:
        """Graph and arrays, as engines and exports take them."""
        return Network(self.symbol, *self.params, self._input, self.input_size, self.name)

    def _batches(self, images: Iterable[Image], batch_size: int) -> Iterator[np.ndarray]:
        """Float32 (n, 3, H, W) arrays of at most batch_size images."""
        ready = enumerate(images)
        while True:
            block = [self._prepare(number, image) for number, image in itertools.islice(ready, batch_size)]
            if not block:
                return
            yield batch_of(block)

    def _prepare(self, number: int, image: Image) -> np.ndarray:
        """Image `number` as uint8 (H, W, 3) of the network's size."""
        try:
            pixels = decode_rgb(image) if isinstance(image, (bytes, bytearray)) else np.asarray(image)
            return fit(pixels, self.input_size)
        except ValueError as error:
            raise UserError(f"{self.name}: image {number}: {error}") from error


def _collected(pending: Pending, count: int) -> np.ndarray:
    return pending()[:count]


def batch_of(photos: Sequence[np.ndarray]) -> np.ndarray:
    """The network's input (n, 3, H, W), float32, from photos of its size (H, W, 3)."""
    return np.ascontiguousarray(np.stack(photos).transpose(0, 3, 1, 2), np.float32)


def fit(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Scale an image to the network's input size.

    pixels: uint8 (height, width, 3). Averages areas when shrinking, interpolates when growing. A
    112×96 network takes the middle 96 columns of a 112×112 crop: the two references differ by
    those 8 pixels. Raises ValueError where the shape is another, or the proportions differ.
    """
    import cv2

    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"is {pixels.dtype} of shape {pixels.shape}; images are uint8 (height, width, 3), RGB")
    height, width = pixels.shape[:2]
    if (height, width) == CROP and size == NARROW_CROP:
        return pixels[:, 8:104]
    if (height, width) == size:
        return pixels
    if height * size[1] != width * size[0]:
        raise ValueError("is %d×%d; the network takes %d×%d, other proportions" % ((height, width) + size))
    way = cv2.INTER_AREA if height > size[0] else cv2.INTER_LINEAR
    return cv2.resize(pixels, (size[1], size[0]), interpolation=way)
