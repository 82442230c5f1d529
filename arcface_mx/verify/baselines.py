"""What needs no network: raw-pixel cosine, whitened PCA, PCA + LDA, on the same pairs as a model.

Features are grey values of the photo at 56×56. PCA and LDA (scikit-learn) are fitted on a training
set and its mirror images, never on the pairs. PCA keeps 100 directions: on the ORL folds and on
LFW every choice from 60 to 200 came within 2 % of it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Iterable, List, Sequence, Tuple, Union

import numpy as np

from arcface_mx.data.bins.bins import PairSet, read_pairs
from arcface_mx.metrics.verification import FOLDS
from arcface_mx.util.errors import UserError
from arcface_mx.verify.sets import SetResult, score_set

SIDE = 56
COMPONENTS = 100
MAX_IMAGES = 20_000  # with the mirror images 500 MB of features, 1 GB at the peak

Features = np.ndarray


@dataclass(frozen=True)
class Baseline:
    """A method that embeds: name, and a function from (n, SIDE²) features to (n, d) embeddings."""

    name: str
    embed: Callable[[Features], np.ndarray]


def pixel_features(images: Iterable[np.ndarray]) -> Tuple[Features, Features]:
    """Grey values of the images and of their mirror images: two float32 arrays (n, SIDE²).

    images: uint8 (height, width, 3) RGB, streamed.
    """
    import cv2

    way = cv2.INTER_AREA
    rows = [cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=way) for image in images]
    if not rows:
        raise UserError("baselines: no images")
    plain = np.stack(rows)
    return plain.reshape(len(rows), -1).astype(np.float32), plain[:, :, ::-1].reshape(len(rows), -1).astype(np.float32)


def fit_baselines(images: Iterable[np.ndarray], labels: Union[np.ndarray, Sequence[int]]) -> List[Baseline]:
    """The three baselines, fitted on a training set; the same input gives the same numbers.

    images: n uint8 (height, width, 3) RGB arrays, streamed. labels: (n,) identities.
    Raises UserError when there are fewer than two identities or no identity with two images.
    """
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    training = np.concatenate(pixel_features(images))
    labels, count = np.asarray(labels), len(training) // 2
    if len(labels) != count:
        raise UserError(f"baselines: {len(labels)} labels for {count} images")
    identities = len(np.unique(labels))
    if not 2 <= identities < count:
        raise UserError(f"baselines: {count} images of {identities} identities; two images of two are the least")
    # copy=False: the features are centred in place and not used again.
    pca = PCA(min(COMPONENTS, count - 1), copy=False, whiten=True, svd_solver="randomized", random_state=0)
    lda = LinearDiscriminantAnalysis().fit(pca.fit_transform(training), np.concatenate([labels, labels]))
    del training

    def pca_lda(features: Features) -> np.ndarray:
        return np.asarray(lda.transform(pca.transform(features)))

    return [
        Baseline("raw pixels", lambda features: features),
        Baseline("whitened PCA", pca.transform),
        Baseline("PCA + LDA", pca_lda),
    ]


def verify_baselines(baselines: Sequence[Baseline], pairs: Union[str, PairSet], folds: int = FOLDS) -> List[SetResult]:
    """The baselines' metrics on a verification set, without and with the flip test."""
    pairs = read_pairs(pairs) if isinstance(pairs, str) else pairs
    start = time.time()
    plain, mirrored = pixel_features(pairs.pixels())
    return [
        score_set(baseline.name, pairs, baseline.embed(plain), baseline.embed(mirrored), folds, start)
        for baseline in baselines
    ]


def training_images(folder: str) -> Tuple[Iterable[np.ndarray], np.ndarray]:
    """(images, labels) of a face set for `fit_baselines`; its first identities where it has more than MAX_IMAGES."""
    from arcface_mx.data.bins.bins import decode_rgb
    from arcface_mx.data.recordio.index import RecordIndex

    index = RecordIndex.open(folder)
    positions = np.arange(len(index))
    if len(index) > MAX_IMAGES:
        # Whole identities, so that LDA sees how one person varies.
        order, _ = index.groups()
        positions = order[:MAX_IMAGES]

    def images() -> Iterable[np.ndarray]:
        for number, _, image in index.images(positions):
            try:
                yield decode_rgb(image)
            except ValueError as error:
                raise UserError(f"{index.path}: record {number}: {error}") from error

    return images(), index.labels[positions]
