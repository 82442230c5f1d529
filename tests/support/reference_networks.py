"""IR-ResNet and MobileFaceNet in float64 NumPy, for inference, written from the layer tables of the papers."""

from __future__ import annotations

from typing import Dict

import numpy as np

Parameters = Dict[str, np.ndarray]


def convolve(x: np.ndarray, weight: np.ndarray, stride: int = 1, pad: int = 0, groups: int = 1) -> np.ndarray:
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    count, _, height, width = x.shape
    filters, inside, kernel, _ = weight.shape
    rows, columns = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    result = np.zeros((count, filters, rows, columns))
    for f in range(filters):
        first = f // (filters // groups) * inside
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride, j * stride
                patch = x[:, first : first + inside, top : top + kernel, left : left + kernel]
                result[:, f, i, j] = np.sum(patch * weight[f], axis=(1, 2, 3))
    return result


def batchnorm(x: np.ndarray, p: Parameters, name: str, eps: float = 2e-5, fix_gamma: bool = False) -> np.ndarray:
    shape = (1, -1) + (1,) * (x.ndim - 2)
    gamma = np.ones_like(p[name + "_gamma"]) if fix_gamma else p[name + "_gamma"]
    mean, variance = p[name + "_moving_mean"], p[name + "_moving_var"]
    return ((x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + eps)) * gamma.reshape(shape) + p[
        name + "_beta"
    ].reshape(shape)


def prelu(x: np.ndarray, p: Parameters, name: str) -> np.ndarray:
    return np.where(x > 0, x, x * p[name + "_gamma"].reshape(1, -1, 1, 1))


def dense(x: np.ndarray, p: Parameters, name: str) -> np.ndarray:
    return x.reshape(len(x), -1) @ p[name + "_weight"].T + p[name + "_bias"]


def iresnet(pixels: np.ndarray, p: Parameters, units: tuple) -> np.ndarray:
    x = convolve((pixels - 127.5) / 128.0, p["conv0_weight"], pad=1)
    x = prelu(batchnorm(x, p, "bn0"), p, "relu0")
    for stage, count in enumerate(units, 1):
        for unit in range(1, count + 1):
            n = f"stage{stage}_unit{unit}_"
            y = convolve(batchnorm(x, p, n + "bn1"), p[n + "conv1_weight"], pad=1)
            y = prelu(batchnorm(y, p, n + "bn2"), p, n + "relu1")
            y = batchnorm(convolve(y, p[n + "conv2_weight"], 2 if unit == 1 else 1, pad=1), p, n + "bn3")
            if unit == 1:
                x = batchnorm(convolve(x, p[n + "conv1sc_weight"], 2), p, n + "sc")
            x = x + y
    return batchnorm(dense(batchnorm(x, p, "bn1"), p, "pre_fc1"), p, "fc1", fix_gamma=True)


def mobilefacenet(pixels: np.ndarray, p: Parameters, units: tuple = (1, 4, 6, 2)) -> np.ndarray:
    def linear(x: np.ndarray, name: str, stride: int = 1, depthwise: bool = False, pad: int = 0) -> np.ndarray:
        weight = p[name + "_conv2d_weight"]
        x = convolve(x, weight, stride, pad, len(weight) if depthwise else 1)
        return batchnorm(x, p, name + "_batchnorm", 1e-3)

    def block(x: np.ndarray, name: str, stride: int) -> np.ndarray:
        x = prelu(linear(x, name + "_conv_sep"), p, name + "_conv_sep_relu")
        x = prelu(linear(x, name + "_conv_dw", stride, True, 1), p, name + "_conv_dw_relu")
        return linear(x, name + "_conv_proj")

    x = prelu(linear((pixels - 127.5) / 128.0, "conv_1", 2, pad=1), p, "conv_1_relu")
    if units[0] == 1:
        x = prelu(linear(x, "conv_2_dw", 1, True, 1), p, "conv_2_dw_relu")
    else:
        for i in range(units[0]):
            x = x + block(x, f"res_2_block{i}", 1)
    for stage, blocks in zip((3, 4, 5), units[1:]):
        x = block(x, f"dconv_{stage - 1}{stage}", 2)
        for i in range(blocks):
            x = x + block(x, f"res_{stage}_block{i}", 1)
    x = linear(prelu(linear(x, "conv_6sep"), p, "conv_6sep_relu"), "conv_6dw7_7", depthwise=True)
    return batchnorm(dense(x, p, "pre_fc1"), p, "fc1", fix_gamma=True)
