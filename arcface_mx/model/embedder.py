"""Run an embedding graph over images: batches, devices, resizing and the flip test."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

import numpy as np

from arcface_mx.data.images import decode_rgb
from arcface_mx.model.convention import RAW, Convention
from arcface_mx.model.engines import Engine, MxnetEngine, Network, Pending
from arcface_mx.model.graph import Size, image_input, shape_mismatch
from arcface_mx.util.errors import UserError
from arcface_mx.util.threads import is_open

if TYPE_CHECKING:
    import mxnet as mx

Image = Union[np.ndarray, bytes, str, "os.PathLike[str]"]  # uint8 (height, width, 3) RGB, an encoded file, or its path

# Images per batch on each device, measured with `bench batch` of version 0.1. On a CPU, larger batches
# are not faster (for MobileFaceNet a sixth slower) and need memory: MXNet's oneDNN path keeps the
# output of every layer, 20 MB an image for MobileFaceNet. GPUs were not measured; a small batch
# would leave them idle.
BATCH_SIZES = {"cpu": 8, "gpu": 64}
TRIAL_BATCH = 4  # the batch that is timed by number of threads; fewer batches are not worth it
CROP, NARROW_CROP = (112, 112), (112, 96)  # the aligned crops of the field


class Embedder:
    """An embedding network with its parameters, on one or more devices.

    Parameters
    ----------
    symbol : Symbol
        Graph from images of shape (N, 3, H, W), RGB, 0 to 255, to embeddings of shape (N, d).
    arg_params, aux_params : dict of str to NDArray
        Parameters and auxiliary states by name. Arrays that the graph does not use are ignored.
    contexts : list of Context, optional
        Devices, each of which computes an equal share of a batch. The default is one CPU.
    input_size : (int, int)
        Height and width of the network's input in pixels.
    name : str
        What messages call the model.
    engine : callable, optional
        Takes a ``Network`` and returns what computes. The default is MXNet; see ``engines.py``.
    convention : Convention, optional
        What the graph takes instead of RGB pixels from 0 to 255. It is applied to each batch.

    Raises
    ------
    UserError
        If parameters are missing or do not fit the graph.
    """

    _num_batches = 0  # so far

    def __init__(
        self,
        symbol: mx.sym.Symbol,
        arg_params: Mapping[str, mx.nd.NDArray],
        aux_params: Mapping[str, mx.nd.NDArray],
        contexts: Optional[List[mx.Context]] = None,
        input_size: Size = CROP,
        name: str = "model",
        engine: Optional[Callable[[Network], Engine]] = None,
        convention: Convention = RAW,
    ) -> None:

        self.name, self.symbol, self.input_size = name, symbol, input_size
        self.contexts = contexts or default_contexts()
        self.convention, self.convention_is_known = convention, True  # False where the model does not state it
        self.notes: List[str] = []
        self.image_input = image_input(symbol, arg_params, aux_params, name)
        reason = shape_mismatch(symbol, self.image_input, arg_params, aux_params, input_size)
        if reason:
            raise UserError(f"{name}: the parameters do not fit the graph: {reason}")
        self._params = self._used(arg_params, aux_params)
        self.embedding_size = self._embedding_size()
        self._make_engine = engine or (lambda network: MxnetEngine(network, self.contexts))
        self._engine: Optional[Engine] = None

    @property
    def params(self) -> Tuple[Dict[str, Any], Dict[str, Any]]:
        """The arrays that the graph uses, by name: (arg_params, aux_params)."""
        return dict(self._params[0]), dict(self._params[1])

    @property
    def network(self) -> Network:
        """The graph with its arrays, as engines and exports take it."""
        return Network(self.symbol, *self.params, self.image_input, self.input_size, self.name)

    @property
    def engine(self) -> str:
        """What computes: "mxnet", "onnx" or "int8". With the engine "auto" it is known, and chosen, from here on."""
        if self._engine is None:
            self._engine = self._make_engine(self.network)
        return self._engine.kind

    @property
    def default_batch_size(self) -> int:
        """Images per batch where the caller does not choose."""
        return sum(BATCH_SIZES.get(context.device_type, BATCH_SIZES["cpu"]) for context in self.contexts)

    def set_params(self, arg_params: Mapping[str, mx.nd.NDArray], aux_params: Mapping[str, mx.nd.NDArray]) -> None:
        """Replace the values of the parameters.

        Parameters
        ----------
        arg_params, aux_params : dict of str to NDArray
            Arrays with the names and shapes of the present ones.
        """
        self._params = self._used(arg_params, aux_params)
        self._engine = None  # engines hold a copy of the weights

    def embed(self, images: Iterable[Image], batch_size: Optional[int] = None, flip: bool = False) -> np.ndarray:
        """Embed images.

        Parameters
        ----------
        images : iterable of ndarray, bytes, str or path
            Arrays of shape (height, width, 3), uint8, RGB, encoded files, or paths of files. They are
            read as a stream, two batches at a time.
        batch_size : int, optional
            Images per batch, mirror images not counted. The default is ``default_batch_size``.
        flip : bool
            The flip test: add the embedding of the mirror image to that of the image.

        Returns
        -------
        ndarray of shape (n, d), float32
            The embeddings, not normalised.

        Raises
        ------
        UserError
            If an image cannot be read (the message has its number), or the network cannot run.
        """
        parts = self._embed(images, batch_size, flip)
        return parts[0] + parts[1] if flip else parts[0]

    def embed_with_flip(
        self, images: Iterable[Image], batch_size: Optional[int] = None
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Embed images and their mirror images, which share their batches.

        Parameters
        ----------
        images : iterable of ndarray, bytes, str or path
            As for ``embed``.
        batch_size : int, optional
            As for ``embed``.

        Returns
        -------
        images, mirror_images : ndarray of shape (n, d), float32
            The embeddings, not normalised.
        """
        plain, flipped = self._embed(images, batch_size, flip=True)
        return plain, flipped

    def _embed(self, images: Iterable[Image], batch_size: Optional[int], flip: bool) -> List[np.ndarray]:
        """Return the embeddings of the images and, with `flip`, those of their mirror images."""
        if batch_size is None:
            batch_size = self.default_batch_size
        if batch_size < 1:
            raise UserError(f"`batch_size` must be at least 1, got {batch_size}")
        groups = 1 + flip
        results = [[np.zeros((0, self.embedding_size), np.float32)] * groups]
        for result in self._results(self._batches(images, batch_size), groups * batch_size, flip):
            results.append(np.split(result, groups))
        return [np.concatenate(parts) for parts in zip(*results)]

    def _results(self, batches: Iterator[np.ndarray], max_batch: int, flip: bool) -> Iterator[np.ndarray]:
        """Yield each batch's embeddings; the engine computes one while the next is prepared."""
        previous: Optional[Tuple[Pending, int]] = None
        for batch in batches:
            if flip:
                batch = np.concatenate([batch, batch[..., ::-1]])
            if self._engine is None:
                self._engine = self._make_engine(self.network)
            self._num_batches += 1
            if self._num_batches == TRIAL_BATCH and is_open():
                if previous:
                    yield previous[0]()[: previous[1]]
                previous = None
                self._engine.choose_threads(batch, max_batch)
            current = self._engine.start(batch, max_batch), len(batch)
            if previous:
                yield previous[0]()[: previous[1]]
            previous = current
        if previous:
            yield previous[0]()[: previous[1]]

    def _batches(self, images: Iterable[Image], batch_size: int) -> Iterator[np.ndarray]:
        """Yield float32 arrays (n, 3, H, W) of at most `batch_size` images."""
        numbered = enumerate(images)
        while True:
            block = [self._prepare(number, image) for number, image in itertools.islice(numbered, batch_size)]
            if not block:
                return
            yield self.convention.apply(to_batch(block))

    def _prepare(self, number: int, image: Image) -> np.ndarray:
        """Return image `number` as uint8 (H, W, 3) of the network's size."""
        try:
            if isinstance(image, (str, os.PathLike)):
                with open(image, "rb") as stream:
                    image = stream.read()
            pixels = decode_rgb(image) if isinstance(image, (bytes, bytearray)) else np.asarray(image)
            return resize_to_input(pixels, self.input_size)
        except OSError as error:
            raise UserError(f"{error.filename}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise UserError(f"{self.name}: image {number}: {error}") from error

    def _used(
        self, arg_params: Mapping[str, mx.nd.NDArray], aux_params: Mapping[str, mx.nd.NDArray]
    ) -> Tuple[Dict[str, Any], Dict[str, Any]]:
        arguments = [key for key in self.symbol.list_arguments() if key != self.image_input]
        states = self.symbol.list_auxiliary_states()
        return {key: arg_params[key] for key in arguments}, {key: aux_params[key] for key in states}

    def _embedding_size(self) -> int:
        shapes = {key: value.shape for key, value in self._params[0].items()}
        outputs = self.symbol.infer_shape(**{self.image_input: (2, 3) + self.input_size}, **shapes)[1]
        if len(outputs) != 1 or outputs[0][0] != 2 or any(length != 1 for length in outputs[0][2:]):
            raise UserError(f"{self.name}: its output has shape {outputs}, not (images, d)")
        return int(outputs[0][1])


def default_contexts() -> List[mx.Context]:
    """Return where a network runs if nobody chooses: one CPU."""
    import mxnet as mx

    return [mx.cpu()]


def to_batch(images: List[np.ndarray]) -> np.ndarray:
    """Return the network's input (n, 3, H, W), float32, from images of its size (H, W, 3)."""
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2), np.float32)


def resize_to_input(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Scale an image (height, width, 3), uint8, RGB, to the network's input `size` (H, W).

    Shrinking averages areas, enlarging interpolates. A network for 112×96 takes the middle 96
    columns of a 112×112 crop, because the two reference alignments differ by those 8 pixels.
    Raises ValueError if the array is not an image or has other proportions than the input.
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
        raise ValueError(f"is {height}×{width}; the network takes {size[0]}×{size[1]}, which has other proportions")
    interpolation = cv2.INTER_AREA if height > size[0] else cv2.INTER_LINEAR
    return cv2.resize(pixels, (size[1], size[0]), interpolation=interpolation)
