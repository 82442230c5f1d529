"""The margin head against Algorithm 1 in float64 numpy: outputs and both gradients, in about a second."""

from __future__ import annotations

from typing import Tuple

import numpy as np

ROWS, SIZE, CLASSES, SCALE, MARGIN = 16, 32, 50, 64.0, 0.5
TOLERANCE = 1e-4  # of the largest value; float32 at s = 64


def head_error() -> float:
    """Largest difference of logits and gradients from the reference, relative to the largest value of each."""
    random = np.random.RandomState(0)
    x, w = random.normal(size=(ROWS, SIZE)), random.normal(size=(CLASSES, SIZE))
    label, incoming = random.randint(0, CLASSES, ROWS), random.normal(size=(ROWS, CLASSES))
    pairs = zip(_mxnet(x, w, label, incoming), _reference(x, w, label, incoming))
    return max(float(np.abs(found - exact).max() / np.abs(exact).max()) for found, exact in pairs)


def _mxnet(x: np.ndarray, w: np.ndarray, label: np.ndarray, incoming: np.ndarray) -> Tuple[np.ndarray, ...]:
    import mxnet as mx

    from arcface_mx.symbols import margin_logits

    embedding, gt, centres = (mx.sym.Variable(name) for name in ("x", "label", "w"))
    logits = margin_logits(embedding, gt, CLASSES, scale=SCALE, m2=MARGIN, weight=centres)
    arrays = {"x": mx.nd.array(x), "w": mx.nd.array(w), "label": mx.nd.array(label)}
    gradients = {name: mx.nd.zeros(arrays[name].shape) for name in ("x", "w")}
    executor = logits.bind(mx.cpu(), arrays, args_grad=gradients)
    output = executor.forward(is_train=True)[0]
    executor.backward(mx.nd.array(incoming))
    return output.asnumpy(), gradients["x"].asnumpy(), gradients["w"].asnumpy()


def _reference(x: np.ndarray, w: np.ndarray, label: np.ndarray, incoming: np.ndarray) -> Tuple[np.ndarray, ...]:
    """Logits s·cos(θ + m) at the label, s·cos θ elsewhere, and the gradients of their sum weighted with `incoming`."""
    lengths = np.linalg.norm(x, axis=1, keepdims=True), np.linalg.norm(w, axis=1, keepdims=True)
    x, w = x / lengths[0], w / lengths[1]
    cosine, rows = x @ w.T, np.arange(len(label))
    theta = np.arccos(cosine[rows, label])
    logits = cosine.copy()
    logits[rows, label] = np.cos(theta + MARGIN)
    slope = SCALE * incoming
    slope[rows, label] *= np.sin(theta + MARGIN) / np.sin(theta)
    return SCALE * logits, _of_unit(slope @ w, x, lengths[0]), _of_unit(slope.T @ x, w, lengths[1])


def _of_unit(gradient: np.ndarray, unit: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The gradient of v/‖v‖ with respect to v."""
    return (gradient - unit * (gradient * unit).sum(1, keepdims=True)) / length
