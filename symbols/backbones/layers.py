"""Layers that backbones share: convolution, BatchNorm, and the output that gives the embedding."""

from __future__ import annotations

import mxnet as mx
from mxnet.symbol import Symbol

EPS, MOMENTUM = 2e-5, 0.9  # of BatchNorm, from the authors' code


def convolution(
    data: Symbol, channels: int, kernel: int, *, stride: int = 1, pad: int = 0, groups: int = 1, name: str
) -> Symbol:
    """Build a square convolution without bias; its weight is `<name>_weight`."""
    return mx.sym.Convolution(
        data,
        num_filter=channels,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(pad, pad),
        num_group=groups,
        no_bias=True,
        name=name,
    )


def batchnorm(data: Symbol, *, name: str, frozen: bool = False, fix_gamma: bool = False, eps: float = EPS) -> Symbol:
    """Build BatchNorm; `frozen` uses the moving statistics in training too."""
    return mx.sym.BatchNorm(data, fix_gamma=fix_gamma, eps=eps, momentum=MOMENTUM, use_global_stats=frozen, name=name)


def normalised_pixels(data: Symbol) -> Symbol:
    """Build (pixel − 127.5) / 128 inside the graph, so that a model takes pixels from 0 to 255."""
    return (data - 127.5) * 0.0078125


def embedding_output(features: Symbol, embedding_size: int, *, dropout: float, frozen: bool = False) -> Symbol:
    """Build the paper's output BN–Dropout–FC–BN with the last gamma fixed at 1: (N, embedding_size), node "fc1"."""
    body = batchnorm(features, name="bn1", frozen=frozen)
    body = mx.sym.Dropout(body, p=dropout, name="dropout0")
    body = mx.sym.FullyConnected(body, num_hidden=embedding_size, flatten=True, name="pre_fc1")
    return batchnorm(body, name="fc1", frozen=frozen, fix_gamma=True)
