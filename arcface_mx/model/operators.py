"""The operators that face networks use, as MXNet itself describes them.

`operators.json` is written by `python -m arcface_mx.model.operators`, from the descriptions in MXNet's
library: inputs, attributes with their types, and which attributes are required. A test compares the
file with the installed MXNet.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
from typing import Any, Dict, List, NamedTuple, Tuple

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "operators.json")

# Operators of the field's networks, losses and exporters. None reads files or calls Python.
NAMES = """
Activation BatchNorm BatchNorm_v1 BlockGrad Cast Concat Convolution Convolution_v1 Crop Deconvolution Dropout
ElementWiseSum Embedding Flatten FullyConnected GroupNorm InstanceNorm L2Normalization LRN LayerNorm LeakyReLU
LinearRegressionOutput LogisticRegressionOutput MAERegressionOutput MakeLoss Pad Pooling Pooling_v1 Reshape
SliceChannel Softmax SoftmaxActivation SoftmaxOutput SwapAxis UpSampling abs add_n arccos arcsin arctan
argmax batch_dot broadcast_add broadcast_axes broadcast_axis broadcast_div broadcast_equal broadcast_greater
broadcast_greater_equal broadcast_lesser broadcast_lesser_equal broadcast_like broadcast_logical_and broadcast_maximum
broadcast_minimum broadcast_minus broadcast_mul broadcast_not_equal broadcast_plus broadcast_power broadcast_sub
broadcast_to cast ceil clip concat cos cosh depth_to_space dot elemwise_add elemwise_div
elemwise_mul elemwise_sub erf exp expand_dims expm1 flatten flip floor
hard_sigmoid identity log log10 log1p log2 log_softmax logical_not make_loss max max_axis mean min min_axis
moments negative norm one_hot ones_like pad pick prod reciprocal relu repeat reshape
reshape_like reverse round rsqrt shape_array sigmoid sign sin sinh size_array slice slice_axis slice_like
smooth_l1 softmax softmax_cross_entropy softmin softsign space_to_depth split sqrt square squeeze stack
stop_gradient sum sum_axis swapaxes take tan tanh tile topk transpose trunc where zeros_like
_Div _DivScalar _Equal _EqualScalar _Greater _GreaterEqualScalar _GreaterScalar _Greater_Equal _Lesser
_LesserEqualScalar _LesserScalar _Lesser_Equal _Maximum _MaximumScalar _Minimum _MinimumScalar _Minus _MinusScalar
_Mul _MulScalar _NotEqualScalar _Not_Equal _Plus _PlusScalar _Power _PowerScalar _RDivScalar _RMinusScalar
_RPowerScalar _add _arange _contrib_AdaptiveAvgPooling2D _contrib_BilinearResize2D _contrib_arange_like
_contrib_div_sqrt_dim _copy _div _div_scalar _equal _equal_scalar _eye _full _greater _greater_equal
_greater_equal_scalar _greater_scalar _grad_add _lesser _lesser_equal _lesser_equal_scalar _lesser_scalar
_linspace _maximum _maximum_scalar _minimum _minimum_scalar _minus _minus_scalar _mod _mod_scalar _mul _mul_scalar
_not_equal _not_equal_scalar _ones _plus _plus_scalar _power _power_scalar _rdiv_scalar _rminus_scalar
_rpower_scalar _split_v2 _sub _zeros
""".split()


class Operator(NamedTuple):
    """Inputs, attributes with MXNet's text for their type, and whether the number of inputs is free."""

    inputs: Tuple[str, ...]
    attributes: Dict[str, str]
    variadic: bool


@functools.lru_cache(maxsize=None)
def operators() -> Dict[str, Operator]:
    """Return the operators by name, from `operators.json`."""
    with open(PATH, encoding="utf-8") as stream:
        stored = json.load(stream)
    return {
        name: Operator(tuple(entry["inputs"]), entry["attributes"], entry["variadic"])
        for name, entry in stored["operators"].items()
    }


def describe() -> Dict[str, Any]:
    """Return the content of `operators.json`, from the installed MXNet."""
    import mxnet as mx

    return {"mxnet": mx.__version__, "operators": {name: _describe(name) for name in sorted(NAMES)}}


def _describe(name: str) -> Dict[str, Any]:
    from mxnet.base import _LIB, check_call

    handle, texts, count = ctypes.c_void_p(), [ctypes.c_char_p() for _ in range(4)], ctypes.c_uint()
    lists = [ctypes.POINTER(ctypes.c_char_p)() for _ in range(3)]
    check_call(_LIB.NNGetOpHandle(name.encode(), ctypes.byref(handle)))
    real, text, variadic, returned = (ctypes.byref(entry) for entry in texts)
    arguments = [ctypes.byref(entry) for entry in lists]
    check_call(
        _LIB.MXSymbolGetAtomicSymbolInfo(handle, real, text, ctypes.byref(count), *arguments, variadic, returned)
    )
    inputs: List[str] = []
    attributes: Dict[str, str] = {}
    for number in range(count.value):
        argument, kind = ((entry[number] or b"").decode() for entry in lists[:2])
        if "NDArray" in kind or "Symbol" in kind:
            inputs.append(argument)
        else:
            attributes[argument] = kind
    return {"inputs": inputs, "attributes": attributes, "variadic": bool(texts[2].value)}


if __name__ == "__main__":
    import arcface_mx  # noqa: F401  (prepares numpy for mxnet)

    print(json.dumps(describe(), indent=1, sort_keys=True))
