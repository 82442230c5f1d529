"""The measures of what a set gives away find a planted leak and nothing where there is none."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra `rendered` is not installed")

from arcface_mx.data.rendered import masks, shortcuts  # noqa: E402


def make_pairs(people, leak, seed=0):
    """Noise photos, two a person; `leak` is the strength of a colour that belongs to the person."""
    r = np.random.default_rng(seed)
    own = r.uniform(-1, 1, (people, 1, 1, 1, 3)) * leak
    cast, grain = r.normal(0, 20, (people, 2, 1, 1, 3)), 30 * r.standard_normal((people, 2, 112, 112, 3), np.float32)
    images = np.clip(128 + own + cast + grain, 0, 255)
    left, right, same = [], [], []
    for fold in np.array_split(np.arange(people), 10):
        left += [2 * i for i in fold] * 2
        right += [2 * i + 1 for i in fold] + [2 * j + 1 for j in np.roll(fold, 1)]
        same += [True] * len(fold) + [False] * len(fold)
    return shortcuts.Pairs(images.reshape(-1, 112, 112, 3).astype(np.uint8), *map(np.asarray, (left, right, same)))


@pytest.mark.parametrize("features", [masks.background_means, masks.face_colour])
def test_a_colour_that_belongs_to_the_person_is_found(features):
    leaking, clean = make_pairs(100, 110), make_pairs(100, 0)
    assert shortcuts.learned_accuracy(features(leaking.images), leaking) > 72
    assert shortcuts.learned_accuracy(features(clean.images), clean) < 60


def test_cosine_accuracy_of_known_similarities():
    pairs = make_pairs(40, 0)
    unit = np.random.default_rng(1).normal(size=(40, 16)).repeat(2, 0)
    assert shortcuts.cosine_accuracy(unit, pairs) == 100
    assert shortcuts.cosine_accuracy(np.ones((80, 4)), pairs) == 50


def test_problems_name_set_and_method():
    figures = {"rendered_lfw": {"raw pixels": 60.0, "PCA": 81.0, "background": 50.0, "mean colour": 50.0}}
    assert shortcuts.problems(figures) == ["rendered_lfw: PCA reaches 81.0 %, more than 80 %"]
    assert shortcuts.problems({"lfw": {"raw pixels": 99.0, "PCA": 99.0, "background": 99.0, "mean colour": 99.0}}) == []


def test_masks_split_a_photo_in_two():
    images = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3)).astype(np.uint8)
    inner = masks.inner_face()
    outside, inside = masks.hide(images, inner), masks.hide(images, ~inner)
    assert (np.where(inner[None, ..., None], inside, outside) == images).all()
    for x, y in ((38, 52), (74, 52), (56, 72), (42, 92), (71, 92)):  # the five points
        assert inner[y, x] and (outside[:, y, x] == masks.FILL).all()
    assert not inner[:, :20].any() and not inner[:25].any()
