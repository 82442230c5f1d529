"""Compare the margin head with Algorithm 1 in float64 NumPy: its logits and both gradients."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np

BATCH, SIZE, CLASSES, SCALE, MARGIN = 16, 32, 50, 64.0, 0.5
TOLERANCE = 1e-4  # relative to the largest value, in float32 with s = 64

Arrays = Tuple[np.ndarray, ...]


def head_error(context: Any = None) -> float:
    """Return the largest difference of logits and gradients, relative to the largest value of each.

    `context` is the MXNet device that computes them (default: the CPU).
    """
    random = np.random.RandomState(0)
    x, w = random.normal(size=(BATCH, SIZE)), random.normal(size=(CLASSES, SIZE))
    label, weights = random.randint(0, CLASSES, BATCH), random.normal(size=(BATCH, CLASSES))
    pairs = zip(_mxnet(x, w, label, weights, context), _reference(x, w, label, weights))
    return max(float(np.abs(value - exact).max() / np.abs(exact).max()) for value, exact in pairs)


def _mxnet(x: np.ndarray, w: np.ndarray, label: np.ndarray, weights: np.ndarray, context: Any = None) -> Arrays:
    import mxnet as mx

    from arcface_mx.symbols import margin_logits

    embedding, gt, centres = (mx.sym.Variable(name) for name in ("x", "label", "w"))
    logits = margin_logits(embedding, gt, CLASSES, scale=SCALE, m2=MARGIN, weight=centres)
    context = context or mx.cpu()
    arrays = {name: mx.nd.array(values, context) for name, values in (("x", x), ("w", w), ("label", label))}
    gradients = {name: mx.nd.zeros(arrays[name].shape, context) for name in ("x", "w")}
    executor = logits.bind(context, arrays, args_grad=gradients)
    output = executor.forward(is_train=True)[0]
    executor.backward(mx.nd.array(weights, context))
    return output.asnumpy(), gradients["x"].asnumpy(), gradients["w"].asnumpy()


def _reference(x: np.ndarray, w: np.ndarray, label: np.ndarray, weights: np.ndarray) -> Arrays:
    """Return s·cos(θ + m) for the label and s·cos θ elsewhere, and the gradients of their weighted sum."""
    x_norm, w_norm = (np.linalg.norm(values, axis=1, keepdims=True) for values in (x, w))
    x, w = x / x_norm, w / w_norm
    rows, logits = np.arange(len(label)), x @ w.T
    theta = np.arccos(logits[rows, label])
    logits[rows, label] = np.cos(theta + MARGIN)
    slope = SCALE * weights
    slope[rows, label] *= np.sin(theta + MARGIN) / np.sin(theta)
    return SCALE * logits, _through_norm(slope @ w, x, x_norm), _through_norm(slope.T @ x, w, w_norm)


def _through_norm(gradient: np.ndarray, unit: np.ndarray, norm: np.ndarray) -> np.ndarray:
    """Turn the gradient with respect to v/‖v‖ into that with respect to v."""
    return (gradient - unit * (gradient * unit).sum(1, keepdims=True)) / norm
