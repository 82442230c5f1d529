"""Metrics: arrays in, numbers out. No model and no files."""

from arcface_mx.metrics.angles import CentreAngles, Spread, centre_angles, spread
from arcface_mx.metrics.bands import bands
from arcface_mx.metrics.calibration import Calibration, Level, PairScores, all_pair_scores, calibrate
from arcface_mx.metrics.comparison import Difference, McNemar, compare, mcnemar
from arcface_mx.metrics.estimates import Estimate, Influence, estimates, rates_at
from arcface_mx.metrics.identification import Identification, identify
from arcface_mx.metrics.identity_bootstrap import PairIdentities
from arcface_mx.metrics.intervals import binomial_interval, identity_interval
from arcface_mx.metrics.megaface import MegaFace, MegaFaceResult
from arcface_mx.metrics.similarity import nearest, pair_scores, unit_vectors
from arcface_mx.metrics.templates import MODES, Mode, TemplatePooling, Templates, pool, template_scores
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
    "Difference",
    "Estimate",
    "Identification",
    "Influence",
    "Level",
    "MODES",
    "McNemar",
    "MegaFace",
    "MegaFaceResult",
    "Mode",
    "PairIdentities",
    "PairMetrics",
    "PairScores",
    "Rates",
    "Roc",
    "Spread",
    "TemplatePooling",
    "Templates",
    "all_pair_scores",
    "bands",
    "binomial_interval",
    "calibrate",
    "centre_angles",
    "compare",
    "equal_error_rate",
    "error_rates",
    "estimates",
    "evaluate",
    "identify",
    "identity_interval",
    "mcnemar",
    "nearest",
    "pair_scores",
    "pool",
    "rates_at",
    "roc_curve",
    "spread",
    "tar_at_far",
    "template_scores",
    "unit_vectors",
]
