"""The embedding network in 8-bit integers, by ONNX Runtime's static quantisation.

Weights are rounded a channel, activations a tensor, to ranges seen on photos (smallest to largest value). PReLU and
sums stay float32. MXNet's own quantisation was slower and failed on MobileFaceNet (recipes/results/README.md).
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

import numpy as np

from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.model.engines import PARAMETERS_DIGEST
from arcface_mx.model.to_onnx import import_onnx, onnx_embeddings
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, fingerprint

BATCH = 8  # photos at once while ranges are taken: all layers' values of a batch are held
LEAST_COSINE = 0.9  # to the network's own embedding, mean: below it the form is of no use


def quantised(data: bytes, photos: np.ndarray) -> bytes:
    """The int8 form of an ONNX model's bytes. photos: (n, 3, H, W) float32, typical input.

    Raises UserError where a package is missing or the graph cannot be quantised.
    """
    onnx = import_onnx()
    try:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise UserError(
            f"--int8: ONNX Runtime's quantisation needs another package ({error}): pip install 'arcface-mx[export]'"
        ) from None
    with tempfile.TemporaryDirectory() as folder, _quiet():
        given, prepared, made = (os.path.join(folder, name) for name in ("given.onnx", "prepared.onnx", "int8.onnx"))
        with open(given, "wb") as stream:
            stream.write(data)
        try:
            quant_pre_process(
                given, prepared, skip_symbolic_shape=True
            )  # with its layers' shapes, which the quantiser reads
            quantize_static(
                prepared,
                made,
                _Photos(onnx.load_from_string(data).graph.input[0].name, photos),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        except Exception as error:  # of many kinds, none of them its own
            raise UserError(
                f"--int8: ONNX Runtime cannot quantise this graph: {(str(error).splitlines() or [repr(error)])[0]}"
            ) from error
        with open(made, "rb") as quantised_file:
            return quantised_file.read()


def write_int8(prefix: str, data: bytes, metadata: Mapping[str, str]) -> str:
    """Write PREFIX-int8.onnx, whole or not at all, with the digest of PREFIX-0000.params, whose form it is; its path."""
    onnx = import_onnx()
    model = onnx.load_from_string(data)
    onnx.helper.set_model_props(model, dict(metadata, **{PARAMETERS_DIGEST: fingerprint(prefix + "-0000.params")}))
    with atomic_write(prefix + "-int8.onnx") as stream:
        stream.write(model.SerializeToString())
    return prefix + "-int8.onnx"


def agreement(expected: np.ndarray, data: bytes, photos: np.ndarray) -> Tuple[float, float]:
    """Mean and lowest cosine of the int8 embeddings to the network's, `expected` (n, d). Raises UserError below LEAST_COSINE."""
    found = unit_vectors(onnx_embeddings(data, photos, BATCH), "int8 model")
    cosines = np.sum(unit_vectors(expected) * found, axis=1)
    if not cosines.mean() >= LEAST_COSINE:
        raise UserError(
            f"int8 model: its embeddings have a mean cosine of {cosines.mean():.3f} to the network's on {len(cosines)} photos (least: {LEAST_COSINE:g}); nothing written"
        )
    return float(cosines.mean()), float(cosines.min())


class _Photos:
    """The quantiser's reader: batches of photos, then None."""

    def __init__(self, image: str, photos: np.ndarray) -> None:
        self._batches = iter([{image: photos[start : start + BATCH]} for start in range(0, len(photos), BATCH)])

    def get_next(self) -> Optional[Dict[str, Any]]:
        return next(self._batches, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser prints, warns and logs advice for its own users."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
