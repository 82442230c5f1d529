"""Which device holds which class, and labels beyond float32's whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.parallel.split import ELSEWHERE, class_ranges, local_labels
from arcface_mx.util.errors import UserError


@given(st.integers(1, 200_000_000), st.integers(1, 64))
def test_ranges_cover_all_classes_evenly(classes, devices):
    if classes < devices or classes > devices << 24:
        with pytest.raises(UserError, match="`parallel` centres"):
            class_ranges(classes, devices)
        return
    ranges = class_ranges(classes, devices)
    assert ranges[0][0] == 0 and ranges[-1][1] == classes
    assert all(one[1] == two[0] for one, two in zip(ranges, ranges[1:]))
    sizes = [last - first for first, last in ranges]
    assert max(sizes) - min(sizes) <= 1 and min(sizes) >= 1


@given(st.integers(2, 100_000_000), st.integers(7, 64), st.integers(0, 999))
def test_a_label_is_whole_in_float32_on_exactly_one_device(classes, devices, seed):
    if classes < devices:
        return
    labels = np.random.RandomState(seed).randint(0, classes, 50, dtype=np.int64)
    ranges = class_ranges(classes, devices)
    local = np.stack([local_labels(labels, held).astype(np.float32) for held in ranges]).astype(np.int64)
    assert ((local != ELSEWHERE).sum(axis=0) == 1).all()
    device = (local != ELSEWHERE).argmax(axis=0)
    first = np.array([held[0] for held in ranges])
    np.testing.assert_array_equal(local[device, np.arange(50)] + first[device], labels)


def test_float32_would_have_lost_these():
    labels = np.array([(1 << 24) + 1, (1 << 24) + 3])
    assert (labels.astype(np.float32).astype(np.int64) != labels).all()
    held = class_ranges(1 << 25, 2)[1]
    np.testing.assert_array_equal(local_labels(labels, held).astype(np.float32), [1, 3])
