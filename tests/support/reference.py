"""Independent implementations in float64 NumPy, written from the formulas without regard to speed.

Every function takes real or complex arrays. `gradient` uses the complex step, f(x + ih).imag / h, whose
rounding error is negligible. Comparisons between numbers use their real parts.
"""

from __future__ import annotations

import math
from typing import Any, Callable, List, Sequence

import numpy as np

Numbers = Any  # a sequence of numbers: list, tuple or array

STEP = 1e-30


def gradient(
    function: Callable[..., np.ndarray], arrays: Sequence[np.ndarray], cotangent: np.ndarray
) -> List[np.ndarray]:
    """The gradient of sum(cotangent·function(*arrays)) with respect to each array, element by element."""
    gradients = []
    for number, array in enumerate(arrays):
        slope = np.zeros(array.shape)
        for index in np.ndindex(*array.shape):
            moved = [np.asarray(other, complex) for other in arrays]
            moved[number] = moved[number].copy()
            moved[number][index] += 1j * STEP
            slope[index] = np.sum(cotangent * function(*moved).imag) / STEP
        gradients.append(slope)
    return gradients


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1. MXNet's L2Normalization adds 1e-10 under the root."""
    return rows / np.sqrt(np.sum(rows * rows, axis=1, keepdims=True) + 1e-10)


def cosines(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return unit(x) @ unit(w).T


# ---------------------------------------------------------------- heads


def target_curve(cosine: complex, m1: float, m2: float, m3: float, policy: str = "none") -> complex:
    """cos(m1·θ + m2) − m3 of eq. 4, as the policy changes it."""
    theta = np.arccos(cosine)
    if policy == "easy_margin" and cosine.real <= 0:
        return cosine
    if policy == "linear" and (m1 * theta + m2).real > math.pi:
        start = (math.pi - m2) / m1
        phi = math.pi - start
        return np.cos(theta) - max(phi * math.sin(phi), 1.0 + math.cos(start)) - m3
    return np.cos(m1 * theta + m2) - m3


def margin_logits(
    x: np.ndarray,
    w: np.ndarray,
    label: Numbers,
    *,
    scale: float = 64.0,
    m1: float = 1.0,
    m2: float = 0.5,
    m3: float = 0.0,
    policy: str = "none",
    clip: float = 0.0,
    ramp: Numbers = (),
) -> np.ndarray:
    logits = scale * cosines(x, w)
    for i, y in enumerate(label):
        cosine = _clipped(logits[i, y] / scale, clip)
        r = ramp[i] if len(ramp) else 1.0
        logits[i, y] = scale * target_curve(cosine, 1.0 + (m1 - 1.0) * r, m2 * r, m3 * r, policy)
    return logits


def softmax_logits(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return x @ w.T + bias


def norm_softmax_logits(x: np.ndarray, w: np.ndarray, scale: float = 64.0) -> np.ndarray:
    return scale * cosines(x, w)


def psi(theta: complex, m: int) -> complex:
    k = min(int(math.floor(theta.real * m / math.pi)), m - 1)
    return (-1) ** k * np.cos(m * theta) - 2 * k


def a_softmax_logits(x: np.ndarray, w: np.ndarray, label: Numbers, m: int, lam: Numbers) -> np.ndarray:
    logits = x @ unit(w).T
    for i, y in enumerate(label):
        norm = np.sqrt(np.sum(x[i] * x[i]) + 1e-10)
        cosine = logits[i, y] / norm
        logits[i, y] = norm * (lam[i] * cosine + psi(np.arccos(cosine), m)) / (1.0 + lam[i])
    return logits


def sub_centre_logits(
    x: np.ndarray, sub_centres: Sequence[np.ndarray], label: Numbers, scale: float, m: float, clip: float
) -> np.ndarray:
    """`sub_centres` are K arrays (n, d), each with one sub-centre of every class."""
    every = np.stack([cosines(x, w) for w in sub_centres])
    nearest = np.argmax(every.real, axis=0)
    logits = scale * np.take_along_axis(every, nearest[None], axis=0)[0]
    for i, y in enumerate(label):
        logits[i, y] = scale * target_curve(_clipped(logits[i, y] / scale, clip), 1.0, m, 0.0)
    return logits


def adaface_logits(
    x: np.ndarray, w: np.ndarray, label: Numbers, scale: float, m: float, h: float, clip: float
) -> np.ndarray:
    norm = np.clip(np.linalg.norm(x.real, axis=1), 1e-3, 100.0)  # no gradient passes through the norm
    quality = np.clip(h * (norm - norm.mean()) / (norm.std() + 1e-3), -1.0, 1.0)
    logits = scale * cosines(x, w)
    for i, y in enumerate(label):
        angle = np.arccos(_clipped(logits[i, y] / scale, clip)) - m * quality[i]
        if not 1e-3 <= angle.real <= math.pi - 1e-3:
            angle = angle * 0 + np.clip(angle.real, 1e-3, math.pi - 1e-3)
        logits[i, y] = scale * (np.cos(angle) - (m + m * quality[i]))
    return logits


def _clipped(cosine: complex, clip: float) -> complex:
    if clip - 1.0 <= cosine.real <= 1.0 - clip:
        return cosine
    return cosine * 0 + np.sign(cosine.real) * (1.0 - clip)  # without gradient


def cross_entropy(logits: np.ndarray, label: Numbers) -> np.ndarray:
    highest = np.max(logits.real, axis=1)
    total = np.log(np.sum(np.exp(logits - highest[:, None]), axis=1)) + highest
    return total - logits[np.arange(len(label)), list(label)]


# ---------------------------------------------------------------- terms on centres


def intra_loss(x: np.ndarray, w: np.ndarray, label: Numbers) -> np.ndarray:
    cosine = cosines(x, w)[np.arange(len(label)), list(label)]
    return np.arccos(cosine) / math.pi


def inter_loss(w: np.ndarray, label: Numbers) -> np.ndarray:
    centres, n = unit(w), len(w)
    losses = []
    for y in label:
        angles = [np.arccos(np.sum(centres[y] * centres[j])) for j in range(n) if j != y]
        losses.append(-sum(angles) / (math.pi * (n - 1)) if n > 1 else 0.0 * np.sum(centres))
    return np.array(losses)


# ---------------------------------------------------------------- tuples


def angles_of(x: np.ndarray) -> np.ndarray:
    """Angles between rows. The diagonal, which no loss uses, is 0."""
    u = unit(x)
    angle = np.zeros((len(x), len(x)), x.dtype)
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                angle[i, j] = np.arccos(np.sum(u[i] * u[j]))
    return angle


def squared_distances(x: np.ndarray) -> np.ndarray:
    u = unit(x)
    return np.array([[np.sum((a - b) ** 2) for b in u] for a in u])


def _hinge(value: complex) -> complex:
    return value if value.real > 0 else value * 0


def triplet_loss(distance: np.ndarray, label: Numbers, margin: float, mining: str) -> np.ndarray:
    """The loss of each anchor, with mining "semi_hard" or "batch_hard" as in `symbols/triplet.py`."""
    losses = []
    for a in range(len(label)):
        positives = [p for p in range(len(label)) if label[p] == label[a] and p != a]
        negatives = [n for n in range(len(label)) if label[n] != label[a]]
        if not positives or not negatives:
            losses.append(0.0 * distance[a, a])
        elif mining == "batch_hard":
            p = max(positives, key=lambda j: distance[a, j].real)
            n = min(negatives, key=lambda j: distance[a, j].real)
            losses.append(_hinge(distance[a, p] - distance[a, n] + margin))
        else:
            total = 0.0 * distance[a, a]
            for p in positives:
                farther = [n for n in negatives if distance[a, n].real > distance[a, p].real]
                if farther:
                    n = min(farther, key=lambda j: distance[a, j].real)
                else:
                    n = max(negatives, key=lambda j: distance[a, j].real)
                total = total + _hinge(distance[a, p] - distance[a, n] + margin)
            losses.append(total / len(positives))
    return np.array(losses)


def contrastive_loss(
    x: np.ndarray, label: Numbers, positive_margin: float, negative_margin: float, mining: str
) -> np.ndarray:
    u = unit(x)
    losses = []
    for a in range(len(label)):
        pulls, pushes = [], []
        for j in range(len(label)):
            if j == a:
                continue
            distance = np.sqrt(np.sum((u[a] - u[j]) ** 2))
            if label[j] == label[a]:
                pulls.append(_hinge(distance - positive_margin))
            else:
                pushes.append(_hinge(negative_margin - distance))
        nothing = 0.0 * np.sum(u[a])
        if mining == "batch_hard":
            pull = max(pulls, key=lambda v: v.real) if pulls else nothing
            push = max(pushes, key=lambda v: v.real) if pushes else nothing
        else:
            pushes = [value for value in pushes if value.real > 0]
            pull = sum(pulls) / len(pulls) if pulls else nothing
            push = sum(pushes) / len(pushes) if pushes else nothing
        losses.append(pull + push)
    return np.array(losses)
