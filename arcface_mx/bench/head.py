"""The margin head, forward and backward: graph, compiled operator, and the three products they cannot do without."""

from __future__ import annotations

from typing import Any, Callable, List

from arcface_mx.bench.race import PEAK, Contestant, peak, race
from arcface_mx.bench.timing import Timing

ENGINE = "mxnet"
HEADS = ("literal", "graph", "native")
PRODUCTS = "three matrix products"


def measure(classes: int, samples: int, size: int, repetitions: int) -> List[Timing]:
    """Steps a second. Baseline: the three products; then each head, without and with the update of W."""
    shape = {"samples": samples, "classes": classes, "size": size}
    work = 6e-9 * samples * classes * size
    entries = [Contestant(PRODUCTS, "arcface_mx.bench.products", dict(shape, kind="head"), gflop=work)]
    for update in (False, True):
        for head in HEADS:
            name = head + " head" + (" and update of W" if update else "")
            entries.append(Contestant(name, __name__, dict(shape, head=head, update=update), gflop=work))
    entries.append(peak())
    return race(entries, repetitions, PEAK)


def setup(head: str, samples: int, classes: int, size: int, update: bool) -> Callable[[], int]:
    """One head, bound: ArcFace at s = 64, m = 0.5."""
    import mxnet as mx
    import numpy as np

    rng = np.random.default_rng(0)
    shapes = {"x": (samples, size), "label": (samples,), "w": (classes, size)}
    variables = {name: mx.sym.Variable(name, shape=shape) for name, shape in shapes.items()}
    loss = mx.sym.MakeLoss(_loss(head, variables, classes))
    requests = {"x": "write", "w": "write", "label": "null"}
    executor = loss.simple_bind(mx.cpu(), grad_req=requests, **shapes)
    executor.arg_dict["x"][:] = rng.normal(size=shapes["x"])
    executor.arg_dict["label"][:] = rng.integers(0, classes, samples)
    weight = executor.arg_dict["w"]
    for first in range(0, classes, 1000):  # by parts: a second W here would be the peak of memory
        weight[first : first + 1000] = rng.normal(0, size**-0.5, (min(1000, classes - first), size))
    momentum = mx.nd.zeros(shapes["w"]) if update else None
    mx.nd.waitall()

    def step() -> int:
        executor.forward(is_train=True)
        executor.backward()
        if update:
            gradient = executor.grad_dict["w"]
            mx.nd.sgd_mom_update(
                weight, gradient, momentum, lr=0.1, momentum=0.9, wd=5e-4, rescale_grad=1.0 / samples, out=weight
            )
        mx.nd.waitall()
        return 1

    return step


def _loss(head: str, variables: Any, classes: int) -> Any:
    from arcface_mx import symbols
    from arcface_mx.native import library
    from arcface_mx.util.errors import UserError

    x, label, weight = (variables[name] for name in ("x", "label", "w"))
    if head == "native":
        if library.unavailable():
            raise UserError(library.unavailable())
        return symbols.margin_cross_entropy(x, label, classes, weight=weight)["cross_entropy"]
    return symbols.cross_entropy(
        symbols.margin_logits(x, label, classes, weight=weight, literal=head == "literal"), label
    )
