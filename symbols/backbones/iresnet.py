"""IR-ResNet, the paper's backbone: improved residual units BN–Conv–BN–PReLU–Conv–BN.

The second convolution of a unit has the stride of 2. The first convolution of the network is 3×3 with
stride 1, there is no max-pooling, and the output is BN–Dropout–FC–BN with the last gamma fixed at 1.
The paper's text does not give the units, filters, dropout and settings of BatchNorm; they are those
of the authors' code. So are the names of the parameters, which lets published models load.
"""

from __future__ import annotations

from typing import Dict, Optional, Sequence, Tuple

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.backbones.layers import batchnorm, convolution, embedding_output, normalised_pixels
from arcface_mx.symbols.backbones.prelu import prelu
from arcface_mx.symbols.checks import check_choice, check_count, check_positive, check_range

UNITS: Dict[int, Tuple[int, ...]] = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
FILTERS = (64, 64, 128, 256, 512)  # of the first convolution and of the four stages


def iresnet(
    data: Symbol,
    layers: int = 50,
    embedding_size: int = 512,
    *,
    width: float = 1.0,
    units: Optional[Sequence[int]] = None,
    input_size: int = 112,
    dropout: float = 0.4,
    fast_prelu: bool = False,
    frozen_batchnorm: bool = False,
) -> Symbol:
    """Build IR-ResNet.

    Parameters
    ----------
    data : Symbol of shape (N, 3, input_size, input_size)
        RGB pixels from 0 to 255.
    layers : {18, 34, 50, 100}, default=50
        Depth of the network.
    embedding_size : int, default=512
        Width d of the embedding.
    width : float, default=1.0
        Factor of the filters 64, 64, 128, 256, 512, which are rounded to at least 1.
    units : sequence of int, optional
        Residual units in each stage, for one to four stages; by default those of `layers`.
    input_size : int, default=112
        Height and width of the images. Each stage halves it, rounding up: 112, 56, 28, 14, 7. The
        width of the fully connected layer depends on the last of them, so parameters fit only sizes
        that end at the same one (112 and 110 both end at 7).
    dropout : float, default=0.4
        Share of the last features dropped in training, 0 <= dropout < 1.
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
    if units is None:
        check_choice("layers", layers, sorted(UNITS))
        units = UNITS[layers]
    if not 1 <= len(units) < len(FILTERS):
        raise ValueError(f"`units` must have one to {len(FILTERS) - 1} stages, got {tuple(units)!r}")
    for stage, count in enumerate(units):
        check_count(f"units[{stage}]", count)
    check_count("embedding_size", embedding_size)
    check_positive("width", width)
    check_count("input_size", input_size)
    check_range("dropout", dropout, 0.0, 1.0)
    filters = [max(1, int(round(width * count))) for count in FILTERS]

    body = convolution(normalised_pixels(data), filters[0], 3, pad=1, name="conv0")
    body = batchnorm(body, name="bn0", frozen=frozen_batchnorm)
    body = prelu(body, filters[0], name="relu0", fast=fast_prelu)
    for stage, (count, channels) in enumerate(zip(units, filters[1:]), start=1):
        for unit in range(1, count + 1):
            body = _unit(body, channels, unit == 1, f"stage{stage}_unit{unit}", fast_prelu, frozen_batchnorm)
    return embedding_output(body, embedding_size, dropout=dropout, frozen=frozen_batchnorm)


def _unit(data: Symbol, channels: int, first: bool, name: str, fast_prelu: bool, frozen: bool) -> Symbol:
    """Build an improved residual unit; the first of a stage halves the size and has a 1×1 shortcut."""
    stride = 2 if first else 1
    body = batchnorm(data, name=name + "_bn1", frozen=frozen)
    body = convolution(body, channels, 3, pad=1, name=name + "_conv1")
    body = batchnorm(body, name=name + "_bn2", frozen=frozen)
    body = prelu(body, channels, name=name + "_relu1", fast=fast_prelu)
    body = convolution(body, channels, 3, stride=stride, pad=1, name=name + "_conv2")
    body = batchnorm(body, name=name + "_bn3", frozen=frozen)
    if first:
        data = convolution(data, channels, 1, stride=stride, name=name + "_conv1sc")
        data = batchnorm(data, name=name + "_sc", frozen=frozen)
    return mx.sym.elemwise_add(body, data, name=name + "_plus")
