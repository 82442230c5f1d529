"""Points of ROC and DET curves with intervals."""

from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np

from arcface_mx.metrics.estimates import estimate, tar_influence
from arcface_mx.metrics.identity_bootstrap import PairIdentities
from arcface_mx.metrics.verification import allowed_accepts, checked_scores
from arcface_mx.util.errors import UserError


def bands(
    scores: np.ndarray, same: np.ndarray, identities: PairIdentities, fars: Sequence[float]
) -> Tuple[np.ndarray, np.ndarray]:
    """Points of the ROC curve with pointwise 95 % intervals.

    Parameters
    ----------
    scores : ndarray of shape (P,)
    same : ndarray of bool, shape (P,)
    identities : PairIdentities
    fars : sequence of float
        FARs below 1 / number of different pairs are left out.

    Returns
    -------
    far : ndarray of shape (K,)
    tar : ndarray of shape (K, 3)
        TAR, and the ends of its interval. The DET curve is 1 − TAR.

    Raises
    ------
    UserError
        If no FAR can be measured.
    """
    scores, same = checked_scores(scores, same, "pairs")
    different = int(np.count_nonzero(~same))
    measured = [far for far in fars if allowed_accepts(far, different) >= 1]
    if not measured:
        raise UserError(f"`fars`: none can be measured with {different} different pairs")
    points = [estimate(tar_influence(scores, same, far), identities) for far in measured]
    return np.asarray(measured), np.asarray(points)
