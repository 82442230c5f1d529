"""PReLU, and a form of it that trains faster on a CPU.

The backward pass of MXNet's `LeakyReLU(act_type="prelu")` is slow. slope·x + (1 − slope)·relu(x) is
the same function, and each of its products is a depthwise 1×1 convolution, which costs oneDNN almost
nothing. Both forms keep the slopes as `<name>_gamma`, of shape (C,) in the standard operator and
(C, 1, 1, 1) in the fast form. The numbers and their order are the same, so an export only reshapes
them.

In a network, MXNet 1.9.1 multiplies the gradient of the standard operator's slopes by the slopes. Train
it in the form that `arcface_mx/model/trainable.py` gives it.
"""

from __future__ import annotations

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.checks import check_count

SLOPE = 0.25  # the initial slope, which is also the standard operator's default


def prelu(data: Symbol, channels: int, *, name: str, fast: bool = False) -> Symbol:
    """Build PReLU with one slope for each channel.

    Parameters
    ----------
    data : Symbol of shape (N, channels, H, W)
        Features.
    channels : int
        Number of channels C.
    name : str
        Name of the node; the slopes are `<name>_gamma`.
    fast : bool, default=False
        Use the form that trains faster on a CPU.

    Returns
    -------
    Symbol of shape (N, channels, H, W)
        x where x > 0, and slope·x elsewhere. All slopes start at 0.25.

    Raises
    ------
    ValueError
        If `channels` is out of range.
    """
    check_count("channels", channels)
    if not fast:
        return mx.sym.LeakyReLU(data, act_type="prelu", name=name)
    slope = mx.sym.Variable(name + "_gamma", shape=(channels, 1, 1, 1), init=mx.init.Constant(SLOPE))
    above = mx.sym.Activation(data, act_type="relu")
    return mx.sym.elemwise_add(
        _scaled(above, 1.0 - slope, channels, name + "_above"),
        _scaled(data, slope, channels, name + "_below"),
        name=name,
    )


def _scaled(data: Symbol, factor: Symbol, channels: int, name: str) -> Symbol:
    return mx.sym.Convolution(
        data, factor, num_filter=channels, num_group=channels, kernel=(1, 1), no_bias=True, name=name
    )
