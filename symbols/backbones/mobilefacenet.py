"""MobileFaceNet (Chen et al., 2018): inverted residuals with PReLU and a global depthwise convolution.

Sizes, settings of BatchNorm and names of parameters are those of InsightFace's MXNet code, so that
its published models load. At width 1 the network has one million parameters without the class
centres.
"""

from __future__ import annotations

from typing import Sequence

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.backbones.layers import batchnorm, convolution, normalised_pixels
from arcface_mx.symbols.backbones.prelu import prelu
from arcface_mx.symbols.checks import check_count, check_positive, check_range

EPS = 1e-3  # of BatchNorm; the published models were trained with MXNet's default

# For each stage: its number, the expanded channels of its first block (which has stride 2), the
# expanded channels of its residual blocks, and the output channels of each block.
STAGES = ((3, 128, 128, 64), (4, 256, 256, 128), (5, 512, 256, 128))
UNITS = (1, 4, 6, 2)  # as published; the larger form, y2 in InsightFace, is (2, 8, 16, 4)


def mobilefacenet(
    data: Symbol,
    embedding_size: int = 512,
    *,
    width: float = 1.0,
    units: Sequence[int] = UNITS,
    input_size: int = 112,
    dropout: float = 0.0,
    fast_prelu: bool = False,
    frozen_batchnorm: bool = False,
) -> Symbol:
    """Build MobileFaceNet.

    Parameters
    ----------
    data : Symbol of shape (N, 3, input_size, input_size)
        RGB pixels from 0 to 255.
    embedding_size : int, default=512
        Width d of the embedding.
    width : float, default=1.0
        Factor of all numbers of channels, which are rounded to at least 1.
    units : sequence of int, default=(1, 4, 6, 2)
        Blocks at half of the input's resolution, and residual blocks in each of the three stages. A
        first entry of 1 means the depthwise convolution of the published network. InsightFace's
        larger form, y2, is (2, 8, 16, 4) and has two million parameters.
    input_size : int, default=112
        Height and width of the images. It is halved four times, rounding up, and a depthwise
        convolution covers what is left (7×7 for 112), so parameters fit one size only.
    dropout : float, default=0.0
        Share of the last features dropped in training, 0 <= dropout < 1. With 0, as published, there
        is no such operator.
    fast_prelu : bool, default=False
        Use the form of PReLU that trains faster on a CPU (see `prelu`).
    frozen_batchnorm : bool, default=False
        Use BatchNorm's moving statistics in training too, for fine-tuning.

    Returns
    -------
    Symbol of shape (N, embedding_size)
        The embedding, node "fc1".

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.
    """
    check_count("embedding_size", embedding_size)
    check_positive("width", width)
    check_count("input_size", input_size)
    check_range("dropout", dropout, 0.0, 1.0)
    if len(units) != len(UNITS):
        raise ValueError(f"`units` must have {len(UNITS)} entries for mobilefacenet, got {tuple(units)!r}")
    for place, count in enumerate(units):
        check_count(f"units[{place}]", count)
    layer = _Layers(width, fast_prelu, frozen_batchnorm)

    body = layer.conv(normalised_pixels(data), 64, 3, stride=2, name="conv_1")
    if units[0] == 1:
        body = layer.conv(body, 64, 3, depthwise=True, name="conv_2_dw")
    else:
        body = layer.residual(body, units[0], 64, 64, name="res_2")
    for blocks, (stage, first, expanded, channels) in zip(units[1:], STAGES):
        body = layer.bottleneck(body, first, channels, stride=2, name=f"dconv_{stage - 1}{stage}")
        body = layer.residual(body, blocks, expanded, channels, name=f"res_{stage}")
    body = layer.conv(body, 512, 1, name="conv_6sep")
    left = input_size
    for _ in range(4):
        left = (left + 1) // 2
    body = layer.linear(body, 512, left, depthwise=True, pad=0, name="conv_6dw7_7")
    if dropout > 0:
        body = mx.sym.Dropout(body, p=dropout, name="dropout0")
    body = mx.sym.FullyConnected(body, num_hidden=embedding_size, flatten=True, name="pre_fc1")
    return batchnorm(body, name="fc1", frozen=frozen_batchnorm, fix_gamma=True)


class _Layers:
    """The three kinds of layers of the network, at one width."""

    def __init__(self, width: float, fast_prelu: bool, frozen: bool) -> None:
        self.width, self.fast_prelu, self.frozen = width, fast_prelu, frozen

    def channels(self, count: int) -> int:
        return max(1, int(round(self.width * count)))

    def linear(
        self, data: Symbol, count: int, kernel: int, *, stride: int = 1, depthwise: bool = False, pad: int, name: str
    ) -> Symbol:
        channels = self.channels(count)
        groups = channels if depthwise else 1
        body = convolution(data, channels, kernel, stride=stride, pad=pad, groups=groups, name=name + "_conv2d")
        return batchnorm(body, name=name + "_batchnorm", frozen=self.frozen, eps=EPS)

    def conv(
        self, data: Symbol, count: int, kernel: int, *, stride: int = 1, depthwise: bool = False, name: str
    ) -> Symbol:
        body = self.linear(data, count, kernel, stride=stride, depthwise=depthwise, pad=kernel // 2, name=name)
        return prelu(body, self.channels(count), name=name + "_relu", fast=self.fast_prelu)

    def bottleneck(self, data: Symbol, expanded: int, outside: int, *, stride: int, name: str) -> Symbol:
        body = self.conv(data, expanded, 1, name=name + "_conv_sep")
        body = self.conv(body, expanded, 3, stride=stride, depthwise=True, name=name + "_conv_dw")
        return self.linear(body, outside, 1, pad=0, name=name + "_conv_proj")

    def residual(self, data: Symbol, blocks: int, expanded: int, outside: int, *, name: str) -> Symbol:
        for block in range(blocks):
            data = data + self.bottleneck(data, expanded, outside, stride=1, name=f"{name}_block{block}")
        return data
