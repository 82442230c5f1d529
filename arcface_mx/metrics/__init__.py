"""Metrics: arrays in, numbers out. No model and no files."""

from arcface_mx.metrics.angles import CentreAngles, Spread, centre_angles, embedding_centres, linked_identities, spread
from arcface_mx.metrics.calibration import Calibration, Level, PairScores, all_pair_scores, calibrate
from arcface_mx.metrics.identification import Identification, identify
from arcface_mx.metrics.intervals import binomial_interval, identity_interval
from arcface_mx.metrics.similarity import cosine_blocks, nearest, pair_scores, unit_vectors
from arcface_mx.metrics.templates import Templates, mean_by_identity, pool, template_scores
from arcface_mx.metrics.verification import (
    PairMetrics,
    Rates,
    Roc,
    best_threshold,
    equal_error_rate,
    error_rates,
    evaluate,
    roc_curve,
    tar_at_far,
)

__all__ = [
    "Calibration",
    "CentreAngles",
    "Identification",
    "Level",
    "PairMetrics",
    "PairScores",
    "Rates",
    "Roc",
    "Spread",
    "Templates",
    "all_pair_scores",
    "best_threshold",
    "binomial_interval",
    "calibrate",
    "centre_angles",
    "cosine_blocks",
    "embedding_centres",
    "equal_error_rate",
    "error_rates",
    "evaluate",
    "identify",
    "identity_interval",
    "linked_identities",
    "mean_by_identity",
    "nearest",
    "pair_scores",
    "pool",
    "roc_curve",
    "spread",
    "tar_at_far",
    "template_scores",
    "unit_vectors",
]
