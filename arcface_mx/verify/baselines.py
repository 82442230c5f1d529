"""Baselines without a network: raw pixels, whitened PCA, and PCA + LDA on the pairs of a model.

Features are the grey values of an image at 56×56. PCA and LDA are fitted on a training set and its
mirror images, never on the pairs. PCA keeps 100 directions: on the ORL folds and on LFW every
choice from 60 to 200 came within 2 % of it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Iterable, Iterator, List, Sequence, Tuple, Union

import numpy as np

from arcface_mx.data.bins.read import PairSet, read_pairs
from arcface_mx.data.images import decode_rgb
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.metrics.verification import FOLDS
from arcface_mx.util.errors import UserError
from arcface_mx.verify.sets import SetResult, score_set

SIDE = 56
COMPONENTS = 100
MAX_IMAGES = 20_000  # with the mirror images 500 MB of features, 1 GB at the peak


@dataclass(frozen=True)
class Baseline:
    """A method: its name, and a function from features (n, SIDE²) to embeddings (n, d)."""

    name: str
    embed: Callable[[np.ndarray], np.ndarray]


def pixel_features(images: Iterable[np.ndarray]) -> Tuple[np.ndarray, np.ndarray]:
    """Grey values of RGB images and of their mirror images: two float32 arrays (n, SIDE²)."""
    import cv2

    rows = [
        cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for image in images
    ]
    if not rows:
        raise UserError("baselines: no images")
    plain = np.stack(rows)
    return plain.reshape(len(rows), -1).astype(np.float32), plain[:, :, ::-1].reshape(len(rows), -1).astype(np.float32)


def fit_baselines(images: Iterable[np.ndarray], labels: Union[np.ndarray, Sequence[int]]) -> List[Baseline]:
    """Fit the three baselines on RGB images and their identities. Equal input gives equal numbers.

    Raises UserError if there are fewer than two identities, or no identity has two images.
    """
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    training = np.concatenate(pixel_features(images))
    labels, count = np.asarray(labels), len(training) // 2
    if len(labels) != count:
        raise UserError(f"baselines: {len(labels)} labels for {count} images")
    identities = len(np.unique(labels))
    if not 2 <= identities < count:
        raise UserError(
            f"baselines: {count} images of {identities} identities; two identities and one with two images are needed"
        )
    # copy=False: the features are centred in place and not used again.
    pca = PCA(min(COMPONENTS, count - 1), copy=False, whiten=True, svd_solver="randomized", random_state=0)
    lda = LinearDiscriminantAnalysis().fit(pca.fit_transform(training), np.concatenate([labels, labels]))
    return [
        Baseline("raw pixels", lambda features: features),
        Baseline("whitened PCA", pca.transform),
        Baseline("PCA + LDA", lambda features: np.asarray(lda.transform(pca.transform(features)))),
    ]


def verify_baselines(baselines: Sequence[Baseline], pairs: Union[str, PairSet], folds: int = FOLDS) -> List[SetResult]:
    """Metrics of the baselines on a verification set, without and with flip test."""
    pairs = read_pairs(pairs) if isinstance(pairs, str) else pairs
    start = time.time()
    plain, mirrored = pixel_features(pairs.pixels())
    results = []
    for baseline in baselines:
        embeddings = baseline.embed(plain)
        flips = {"none": embeddings, "sum": embeddings + baseline.embed(mirrored)}
        results.append(score_set(baseline.name, pairs, flips, folds, start))
    return results


def training_images(folder: str) -> Tuple[Iterable[np.ndarray], np.ndarray]:
    """Images and labels of a face set for `fit_baselines`.

    Of a set with more than MAX_IMAGES images the first identities are taken, so that LDA sees how
    the images of an identity vary.
    """
    index = RecordIndex.open(folder)
    positions = np.arange(len(index)) if len(index) <= MAX_IMAGES else index.groups()[0][:MAX_IMAGES]

    def images() -> Iterator[np.ndarray]:
        for number, _, image in index.images(positions):
            try:
                yield decode_rgb(image)
            except ValueError as error:
                raise UserError(f"{index.path}: record {number}: {error}") from error

    return images(), index.labels[positions]
