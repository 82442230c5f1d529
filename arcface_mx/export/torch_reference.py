"""The forward pass of arcface_torch's IResNet in NumPy, in float64, from the names in its state dict.

It shares no code with the network that an import makes, so that a mistake in one of them shows.
"""

from __future__ import annotations

from typing import Mapping

import numpy as np

EPS = 1e-5


def iresnet_embeddings(state: Mapping[str, np.ndarray], batch: np.ndarray) -> np.ndarray:
    """Return the embeddings (n, d), float64, of a batch (n, 3, H, W) that the network takes."""
    arrays = {name: value.astype(np.float64) for name, value in state.items()}
    return np.stack([_embedding(arrays, image) for image in batch.astype(np.float64)])


def _embedding(arrays: Mapping[str, np.ndarray], values: np.ndarray) -> np.ndarray:
    values = _prelu(arrays, "prelu", _norm(arrays, "bn1", _convolution(values, arrays["conv1.weight"], 1)))
    for stage in range(1, 5):
        unit = 0
        while f"layer{stage}.{unit}.conv1.weight" in arrays:
            values = _unit(arrays, f"layer{stage}.{unit}.", values, 2 if unit == 0 else 1)
            unit += 1
    features = _norm(arrays, "bn2", values).ravel()
    return _norm(arrays, "features", arrays["fc.weight"] @ features + arrays["fc.bias"])


def _unit(arrays: Mapping[str, np.ndarray], name: str, values: np.ndarray, stride: int) -> np.ndarray:
    body = _convolution(_norm(arrays, name + "bn1", values), arrays[name + "conv1.weight"], 1)
    body = _prelu(arrays, name + "prelu", _norm(arrays, name + "bn2", body))
    body = _norm(arrays, name + "bn3", _convolution(body, arrays[name + "conv2.weight"], stride))
    if name + "downsample.0.weight" in arrays:
        shortcut = _convolution(values, arrays[name + "downsample.0.weight"], stride)
        values = _norm(arrays, name + "downsample.1", shortcut)
    return body + values


def _norm(arrays: Mapping[str, np.ndarray], name: str, values: np.ndarray) -> np.ndarray:
    shape = (-1,) + (1,) * (values.ndim - 1)
    scale = arrays[name + ".weight"] / np.sqrt(arrays[name + ".running_var"] + EPS)
    shift = arrays[name + ".bias"] - arrays[name + ".running_mean"] * scale
    return values * scale.reshape(shape) + shift.reshape(shape)


def _prelu(arrays: Mapping[str, np.ndarray], name: str, values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, values * arrays[name + ".weight"].reshape(-1, 1, 1))


def _convolution(values: np.ndarray, kernels: np.ndarray, stride: int) -> np.ndarray:
    """Convolve (C, H, W) with (F, C, k, k), padded so that stride 1 keeps the size."""
    side = kernels.shape[-1]
    pad = side // 2
    values = np.pad(values, ((0, 0), (pad, pad), (pad, pad)))
    total: np.ndarray = np.zeros(())
    for row in range(side):
        for column in range(side):
            height, width = (length - side + 1 for length in values.shape[1:])
            part = values[:, row : row + height : stride, column : column + width : stride]
            total = total + np.tensordot(kernels[:, :, row, column], part, 1)
    return total
