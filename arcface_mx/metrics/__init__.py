"""Metrics: arrays in, numbers out. No model and no files."""

from arcface_mx.metrics.angles import CentreAngles, Spread, centre_angles, spread
from arcface_mx.metrics.calibration import Calibration, Level, PairScores, all_pair_scores, calibrate
from arcface_mx.metrics.identification import Identification, identify
from arcface_mx.metrics.intervals import binomial_interval, identity_interval
from arcface_mx.metrics.similarity import nearest, pair_scores, unit_vectors
from arcface_mx.metrics.templates import Templates, pool, template_scores
from arcface_mx.metrics.verification import (
    PairMetrics,
    Rates,
    Roc,
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
    "binomial_interval",
    "calibrate",
    "centre_angles",
    "equal_error_rate",
    "error_rates",
    "evaluate",
    "identify",
    "identity_interval",
    "nearest",
    "pair_scores",
    "pool",
    "roc_curve",
    "spread",
    "tar_at_far",
    "template_scores",
    "unit_vectors",
]
