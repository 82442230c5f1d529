"""The cross entropy before the first update: that of random embeddings and class centres, by sampling."""

from __future__ import annotations

from typing import Callable

import numpy as np

TARGETS = 512  # cosines to the own centre: the middles of equally likely intervals
MAX_DRAWS = 1 << 20  # cosines to other centres that are drawn in all
MIN_IMAGES = 8


def first_cross_entropy(
    num_classes: int,
    embedding_size: int,
    scale: float,
    target: Callable[[np.ndarray], np.ndarray] = lambda cosine: cosine,
    centres_per_class: int = 1,
) -> float:
    """Return the mean cross entropy over logits scale·cos θ of random directions.

    Parameters
    ----------
    num_classes : int
    embedding_size : int
        Number of dimensions d, at least 1.
    scale : float
        Feature scale s.
    target : callable
        Returns the target logit divided by `scale`, from the cosine of the embedding and its own
        class centre.
    centres_per_class : int
        Number of centres of which the nearest counts.

    Returns
    -------
    float

    Notes
    -----
    (1 + cos θ) / 2 of two random directions has the distribution Beta((d − 1)/2, (d − 1)/2). For many
    classes the result tends to ln n + s²/(2d), plus s times what the margin takes from the target.
    """
    from scipy.stats import beta

    shape = max(embedding_size - 1, 1e-3) / 2.0
    # The largest of K cosines has the distribution function F^K.
    shares = ((np.arange(TARGETS) + 0.5) / TARGETS) ** (1.0 / centres_per_class)
    logits = scale * target(2.0 * beta.ppf(shares, shape, shape) - 1.0)
    others = (num_classes - 1) * centres_per_class
    if not others:
        return 0.0
    images = int(np.clip(MAX_DRAWS // others, MIN_IMAGES, 4 * TARGETS))
    random = np.random.default_rng(0)
    totals = np.empty(images)
    for image in range(images):
        cosines = 2.0 * random.beta(shape, shape, (num_classes - 1, centres_per_class)).max(axis=1) - 1.0
        totals[image] = np.logaddexp.reduce(scale * cosines)
    return float(np.mean(np.logaddexp(totals[:, None], logits[None]) - logits[None]))
