"""Synthetic unit embeddings of identities."""

from __future__ import annotations

import numpy as np
from sklearn.preprocessing import normalize as units


def clusters(identities, images, spread, seed=0, d=64):
    """(embeddings, labels) of identities whose images are `spread` degrees from a direction."""
    random = np.random.RandomState(seed)
    labels = np.repeat(np.arange(identities), images)
    centres = units(random.normal(size=(identities, d)))[labels]
    noise = units(random.normal(size=(identities * images, d)))
    noise -= (noise * centres).sum(1, keepdims=True) * centres
    angle = np.radians(spread)
    embeddings = units(np.cos(angle) * centres + np.sin(angle) * units(noise))
    return embeddings.astype(np.float32), labels
