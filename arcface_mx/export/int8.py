"""The embedding network in 8-bit integers, by ONNX Runtime's static quantisation.

Weights are rounded per output channel, activations per tensor, to the range between the smallest
and the largest value on sample images. PReLU and sums stay in float32. MXNet's own quantisation
was slower and failed on MobileFaceNet (recipes/results/README.md).

Weights have 7 bits, from -64 to 64. On x86-64 processors without VNNI, ONNX Runtime multiplies
with `vpmaddubsw`, which adds pairs of products (unsigned activation × weight) in 16 bits: with
8-bit weights, the sum of up to 2 × 255 × 127 saturates at 32,767. Depthwise convolutions have
kernels of their own, which do not saturate, and keep 8 bits. The file therefore gives the same
embeddings on every processor. Mean cosine to the embedding in float32, on 32 images:

=======================================  ============  ============  ============  ============
Weights (per channel, activations u8)    IR-ResNet18*  on AVX2†      MobileFace‡   on AVX2†
=======================================  ============  ============  ============  ============
8 bits, signed                           0.9941        0.8805        0.9920        0.8943
7 bits, signed                           0.9925        0.9925        0.9859        0.9859
7 bits, depthwise 8 bits (used here)     0.9925        0.9925        0.9893        0.9893
8 bits, unsigned                         0.9929        0.9929        0.9912        0.9912
=======================================  ============  ============  ============  ============

* Width 0.25 and random weights, as in the tests; on a processor with VNNI and AMX.
† The same file on a Haswell emulated by qemu.
‡ The published mobileface_v2 on LFW's images; on a processor with VNNI and AMX.

Unsigned weights do not saturate either, but have no AMX kernel: there, IR-ResNet50 takes 99 ms an
image on one core with unsigned weights, 34 ms with signed ones and 88 ms in float32.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np

from arcface_mx.export.parity import onnx_embeddings
from arcface_mx.metrics.similarity import unit_vectors
from arcface_mx.model.engines import PARAMETERS_DIGEST
from arcface_mx.model.onnx_file import seal
from arcface_mx.model.to_onnx import import_onnx
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, fingerprint, temporary_directory

CALIBRATION_BATCH = 8  # images at a time; ONNX Runtime holds the values of all layers for a batch
MIN_COSINE = 0.9  # mean cosine to the embeddings in float32, below which a form is of no use


def quantise(data: bytes, images: np.ndarray) -> bytes:
    """Return the int8 form of an ONNX model's bytes; the images (n, 3, H, W) give the ranges.

    Raises UserError if a package is missing or ONNX Runtime cannot quantise the graph.
    """
    onnx = import_onnx()
    try:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise UserError(
            f"`int8`: ONNX Runtime's quantisation lacks a package ({error}): pip install 'arcface-mx[export]'"
        ) from None
    with temporary_directory() as folder, _quiet():
        source, prepared, target = (os.path.join(folder, name) for name in ("source", "prepared", "target"))
        with open(source, "wb") as stream:
            stream.write(data)
        try:
            # Adds the shapes of the layers, which the quantiser reads.
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            graph = onnx.load(prepared).graph
            quantize_static(
                prepared,
                target,
                _Batches(graph.input[0].name, images),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                extra_options={"TensorQuantOverrides": _full_range_of_depthwise(graph, QuantType.QInt8)},
            )
        except Exception as error:  # ONNX Runtime raises exceptions of many unrelated classes
            reason = (str(error).splitlines() or [repr(error)])[0]
            raise UserError(f"`int8`: ONNX Runtime cannot quantise this graph: {reason}") from error
        with open(target, "rb") as stream:
            return stream.read()


def _full_range_of_depthwise(graph: Any, weight_type: Any) -> Dict[str, List[Dict[str, Any]]]:
    """Return settings that let the weights of depthwise convolutions use all 8 bits."""
    shapes = {weight.name: weight.dims for weight in graph.initializer}
    setting = {"axis": 0, "reduce_range": False, "quant_type": weight_type, "symmetric": True}
    settings = {}
    for node in graph.node:
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        if node.op_type == "Conv" and groups > 1 and list(shapes.get(node.input[1], ())[:2]) == [groups, 1]:
            settings[node.input[1]] = [dict(setting)]
    return settings


def write_int8(prefix: str, data: bytes, metadata: Mapping[str, str]) -> str:
    """Write PREFIX-int8.onnx with the digest of PREFIX-0000.params; returns its path."""
    onnx = import_onnx()
    model = onnx.load_from_string(data)
    onnx.helper.set_model_props(model, dict(metadata, **{PARAMETERS_DIGEST: fingerprint(prefix + "-0000.params")}))
    with atomic_write(prefix + "-int8.onnx") as stream:
        stream.write(seal(model.SerializeToString()))
    return prefix + "-int8.onnx"


def cosine_parity(expected: np.ndarray, data: bytes, images: np.ndarray) -> Tuple[float, float]:
    """Return the mean and the lowest cosine of a form's embeddings to `expected` (n, d).

    Raises UserError if the mean is below MIN_COSINE.
    """
    embeddings = unit_vectors(onnx_embeddings(data, images, CALIBRATION_BATCH), "int8 model")
    cosines = np.sum(unit_vectors(expected) * embeddings, axis=1)
    if not cosines.mean() >= MIN_COSINE:
        raise UserError(
            f"int8 model: its embeddings have a mean cosine of {cosines.mean():.3f} to the network's on "
            f"{len(cosines)} images (at least {MIN_COSINE:g} is required); nothing was written"
        )
    return float(cosines.mean()), float(cosines.min())


class _Batches:
    """The images in batches, as ONNX Runtime's quantiser reads them."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        starts = range(0, len(images), CALIBRATION_BATCH)
        self._batches = iter([{name: images[start : start + CALIBRATION_BATCH]} for start in starts])

    def get_next(self) -> Optional[Dict[str, np.ndarray]]:
        return next(self._batches, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the quantiser prints, warns of and logs."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
