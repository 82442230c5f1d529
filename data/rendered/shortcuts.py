"""What a face set gives away without a face model: pixels, PCA, background, mean colour.

Accuracy over the ten folds of each verification set, the threshold (or the small logistic model)
fitted on nine folds. Models are fitted on training people, who are in no verification set.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Tuple

import numpy as np

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.images import decode_rgb
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.rendered import masks
from arcface_mx.data.rendered.sets import COMPARISONS, FOLDS
from arcface_mx.util.errors import UserError

SIDE = 32  # pixels of the shrunk photos
FITTED_PEOPLE = 400  # training people at most, for PCA and LDA
COMPONENTS = 150
# Highest accuracy (%) that a set may have, from what needs no face.
LIMITS = {"raw pixels": 70.0, "PCA": 80.0, "background": 55.0, "mean colour": 58.0}


class Pairs(NamedTuple):
    images: np.ndarray  # (M, 112, 112, 3) uint8
    left: np.ndarray  # (P,) numbers of images
    right: np.ndarray
    same: np.ndarray  # (P,) bool


def measure(folder: str, bins: Iterable[str] = ()) -> Dict[str, Dict[str, float]]:
    """Accuracy in % by set and by method. `bins`: other `.bin` files to measure beside the folder's."""
    photos, labels = _training_photos(folder)
    own = [os.path.join(folder, comparison.name + ".bin") for comparison in COMPARISONS]
    paths = [path for path in own if os.path.exists(path)] + list(bins)
    if not paths:
        raise UserError(f"{folder}: holds no rendered_*.bin; make the set with --test-identities")
    pairs = {os.path.splitext(os.path.basename(path))[0]: _read(path) for path in paths}
    methods = _methods(photos, labels)
    return {name: {method: round(run(one), 2) for method, run in methods.items()} for name, one in pairs.items()}


def problems(figures: Dict[str, Dict[str, float]]) -> List[str]:
    """Which rendered sets are above LIMITS."""
    return [
        f"{name}: {method} reaches {figures[name][method]:.1f} %, more than {limit:.0f} %"
        for name in figures
        if name.startswith("rendered_")
        for method, limit in LIMITS.items()
        if figures[name][method] > limit
    ]


def table(figures: Dict[str, Dict[str, float]]) -> str:
    names = list(figures)
    width = max(len(method) for method in figures[names[0]]) + 2
    lines = ["accuracy %".ljust(width) + "  ".join(names)]
    for method in figures[names[0]]:
        lines.append(method.ljust(width) + "  ".join(f"{figures[n][method]:.1f}".rjust(len(n)) for n in names))
    return "\n".join(lines)


def _methods(photos: np.ndarray, labels: np.ndarray) -> Dict[str, Callable[[Pairs], float]]:
    mean = _shrunk(photos).mean(0)
    everything, inner = np.zeros((112, 112), bool), masks.inner_face()
    pca = _pca(photos)
    return {
        "raw pixels": lambda pairs: cosine_accuracy(_shrunk(pairs.images) - mean, pairs),
        "PCA": lambda pairs: cosine_accuracy(pca(pairs.images), pairs),
        "PCA and LDA": _lda(photos, labels, everything),
        "PCA and LDA, inner face": _lda(photos, labels, ~inner),
        "PCA and LDA, all but the inner face": _lda(photos, labels, inner),
        "background": lambda pairs: learned_accuracy(masks.background_means(pairs.images), pairs),
        "mean colour": lambda pairs: learned_accuracy(masks.face_colour(pairs.images), pairs),
    }


def _pca(photos: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.decomposition import PCA

    pixels = _shrunk(photos)
    components = min(COMPONENTS, len(pixels) - 1)
    model = PCA(components, whiten=True, svd_solver="randomized", random_state=0).fit(pixels)
    return lambda images: model.transform(_shrunk(images))


def _lda(photos: np.ndarray, labels: np.ndarray, hidden: np.ndarray) -> Callable[[Pairs], float]:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    pca = _pca(masks.hide(photos, hidden))
    limit = min(100, len(np.unique(labels)) - 1, pca(photos[:1]).shape[1])
    lda = LinearDiscriminantAnalysis(n_components=limit).fit(pca(masks.hide(photos, hidden)), labels)
    return lambda pairs: cosine_accuracy(lda.transform(pca(masks.hide(pairs.images, hidden))), pairs)


def cosine_accuracy(features: np.ndarray, pairs: Pairs) -> float:
    """% right when cosine similarity is cut at the threshold that is best on the other folds."""
    unit = features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-12)
    score = (unit[pairs.left] * unit[pairs.right]).sum(1)
    right = []
    for test in _folds(pairs):
        order = np.argsort(score[~test], kind="stable")
        same = pairs.same[~test][order]
        # Cutting before position k calls k … end the same.
        correct = np.concatenate([[0], np.cumsum(~same)]) + same.sum() - np.concatenate([[0], np.cumsum(same)])
        cut = int(correct.argmax())
        ordered = np.concatenate([[-np.inf], score[~test][order], [np.inf]])
        right.append(((score[test] > ordered[cut : cut + 2].mean()) == pairs.same[test]).mean())
    return float(np.mean(right) * 100)


def learned_accuracy(features: np.ndarray, pairs: Pairs) -> float:
    """% right of a logistic model on the absolute differences and their squares."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    difference = np.abs(features[pairs.left] - features[pairs.right])
    difference = np.concatenate([difference, difference**2], 1)
    right = []
    for test in _folds(pairs):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(difference[~test], pairs.same[~test])
        right.append(model.score(difference[test], pairs.same[test]))
    return float(np.mean(right) * 100)


def _folds(pairs: Pairs) -> Iterable[np.ndarray]:
    number = np.arange(len(pairs.same)) * FOLDS // len(pairs.same)
    return (number == fold for fold in range(FOLDS))


def _shrunk(images: np.ndarray) -> np.ndarray:
    import cv2

    small = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(small).reshape(len(small), -1).astype(np.float32) / 255


def _read(path: str) -> Pairs:
    pairs: Any = read_pairs(path)
    return Pairs(np.stack(list(pairs.pixels())), pairs.left, pairs.right, pairs.same)


def _training_photos(folder: str) -> Tuple[np.ndarray, np.ndarray]:
    index = RecordIndex.open(folder)
    chosen = np.flatnonzero(index.labels < FITTED_PEOPLE)
    images = [decode_rgb(image) for _, _, image in index.images(chosen)]
    return np.stack(images), index.labels[chosen]
