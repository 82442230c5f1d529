"""Target logits and decision margins agree with the formulas."""

from __future__ import annotations

import numpy as np
import pytest

from arcface_mx.report.plots.curves import BOUNDARIES, MARGINS, POLICIES, decision_boundary, target_logits
from tests.support import reference


@pytest.mark.parametrize("margin", MARGINS + POLICIES, ids=lambda margin: margin.name)
def test_a_curve_is_its_formula(margin):
    degrees = np.linspace(1.0, 179.0, 90)
    if margin.a_softmax_m:
        lam, theta = margin.lam, np.radians(degrees)
        expected = [(lam * np.cos(t) + reference.psi(t, margin.a_softmax_m)) / (1 + lam) for t in theta]
    else:
        cosines = np.cos(np.radians(degrees))
        expected = [reference.target_curve(c, margin.m1, margin.m2, margin.m3, margin.policy) for c in cosines]
    np.testing.assert_allclose(target_logits(margin, degrees), expected, atol=1e-7)


@pytest.mark.parametrize("margin", BOUNDARIES, ids=lambda margin: margin.name)
def test_on_the_boundary_both_classes_score_alike(margin):
    theta2 = np.linspace(5.0, 85.0, 17)
    theta1 = decision_boundary(margin, theta2)
    known = np.isfinite(theta1)
    assert known.any()
    target = np.cos(margin.m1 * np.radians(theta1[known]) + margin.m2) - margin.m3
    np.testing.assert_allclose(target, np.cos(np.radians(theta2[known])), atol=1e-5)


def test_arcface_keeps_the_same_distance_everywhere():
    theta2 = np.linspace(40.0, 85.0, 10)
    np.testing.assert_allclose(theta2 - decision_boundary(BOUNDARIES[3], theta2), np.degrees(0.5), atol=1e-3)
