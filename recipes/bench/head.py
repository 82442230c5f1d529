"""The margin head, forward and backward; baseline: its three matrix products alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Tuple

import numpy as np
from cases import Case

from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from mxnet.symbol import Symbol

BATCH_SIZE = 128
PRODUCTS = "three matrix products"
HEADS = ("literal", "graph", "native")  # Algorithm 1 line by line, MXNet's operators, the compiled operator
PEAK = "Peak (square matrix products)"
PEAK_SIDE = 1536


def cases(classes: int, embedding_size: int, batch_size: Optional[int] = None) -> List[Case]:
    """Each head alone, then with the update of W."""
    shape = (batch_size or BATCH_SIZE, classes, embedding_size)
    result = [_case(PRODUCTS, PRODUCTS, shape)]
    for head in HEADS:
        result.append(_case(f"{head} head", head, shape))
    for head in HEADS:
        result.append(_case(f"{head} head and update of W", head, shape, update=True))
    return [*result, peak_case()]


def peak_case() -> Case:
    """Products of square matrices, which are about the fastest that the machine can compute."""
    return _case(PEAK, PRODUCTS, (PEAK_SIDE, PEAK_SIDE, PEAK_SIDE))


def _case(name: str, head: str, shape: Tuple[int, int, int], update: bool = False) -> Case:
    images, classes, size = shape
    return Case(name, setup, {"head": head, "shape": shape, "update": update}, 6e-9 * images * classes * size)


def setup(head: str, shape: Tuple[int, int, int], update: bool = False) -> Callable[[], int]:
    """An ArcFace head with s = 64 and m = 0.5 on random embeddings; shape: images, classes, embedding size."""
    import mxnet as mx

    images, classes, size = shape
    random = np.random.default_rng(0)
    shapes: Dict[str, Tuple[int, ...]] = {"x": (images, size), "w": (classes, size)}
    if head != PRODUCTS:
        shapes["label"] = (images,)
    symbol = _symbol(head, {name: mx.sym.Variable(name, shape=value) for name, value in shapes.items()}, classes)
    executor = symbol.simple_bind(mx.cpu(), grad_req={"x": "write", "w": "write", "label": "null"}, **shapes)
    executor.arg_dict["x"][:] = random.normal(size=shapes["x"])
    if head != PRODUCTS:
        executor.arg_dict["label"][:] = random.integers(0, classes, images)
    weight = executor.arg_dict["w"]
    for start in range(0, classes, 1000):  # in parts, because a second W would be the peak of the memory
        weight[start : start + 1000] = random.normal(0, size**-0.5, (min(1000, classes - start), size))
    momentum = mx.nd.zeros(shapes["w"]) if update else None
    gradient = mx.nd.zeros((images, classes)) if head == PRODUCTS else None
    mx.nd.waitall()

    def step() -> int:
        executor.forward(is_train=True)
        executor.backward(gradient)
        if update:
            options = {"lr": 0.1, "momentum": 0.9, "wd": 5e-4, "rescale_grad": 1.0 / images}
            mx.nd.sgd_mom_update(weight, executor.grad_dict["w"], momentum, out=weight, **options)
        mx.nd.waitall()
        return 1

    return step


def _symbol(head: str, variables: Dict[str, Symbol], classes: int) -> Symbol:
    import mxnet as mx

    from arcface_mx import symbols
    from arcface_mx.native import library

    x, weight, label = variables["x"], variables["w"], variables.get("label")
    if head == PRODUCTS:
        return mx.sym.FullyConnected(x, weight, no_bias=True, num_hidden=classes)
    if head == "native":
        if library.unavailable():
            raise UserError(library.unavailable())
        return mx.sym.MakeLoss(symbols.margin_cross_entropy(x, label, classes, weight=weight)["cross_entropy"])
    logits = symbols.margin_logits(x, label, classes, weight=weight, literal=head == "literal")
    return mx.sym.MakeLoss(symbols.cross_entropy(logits, label))
