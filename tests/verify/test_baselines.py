"""Baselines: fitted on the training set alone, deterministic, scored like a model."""

from __future__ import annotations

import numpy as np
import pytest

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.util.errors import UserError
from arcface_mx.verify.baselines import SIDE, fit_baselines, pixel_features, training_images, verify_baselines
from tests.support import nets


def test_features_are_grey_values_and_their_mirror():
    image = np.zeros((112, 112, 3), np.uint8)
    image[:, :56] = (255, 0, 0)  # red half: luma 76
    plain, mirrored = pixel_features([image])
    assert plain.shape == mirrored.shape == (1, SIDE * SIDE) and plain.dtype == np.float32
    assert plain.reshape(SIDE, SIDE)[0].tolist() == [76] * 28 + [0] * 28
    assert mirrored.reshape(SIDE, SIDE)[0].tolist() == [0] * 28 + [76] * 28


def test_baselines_on_a_face_set(tiny_faces, tiny_pairs):
    images, labels = training_images(tiny_faces)
    baselines = fit_baselines(images, labels)
    results = verify_baselines(baselines, tiny_pairs)
    assert [result.method for result in results] == ["raw pixels", "whitened PCA", "PCA + LDA"]
    again = verify_baselines(fit_baselines(*training_images(tiny_faces)), tiny_pairs)
    assert [r.none for r in again] == [r.none for r in results]
    assert [r.sum for r in again] == [r.sum for r in results]
    pairs = read_pairs(tiny_pairs)
    assert {(r.pairs, r.images, r.set) for r in results} == {(len(pairs), pairs.num_images, "tiny")}


def test_raw_pixels_are_the_cosine_of_grey_values(tiny_faces, tiny_pairs):
    from sklearn.metrics import roc_auc_score

    pairs = read_pairs(tiny_pairs)
    grey = pixel_features(pairs.pixels())[0].astype(np.float64)
    cosines = [
        np.dot(grey[i], grey[j]) / np.linalg.norm(grey[i]) / np.linalg.norm(grey[j])
        for i, j in zip(pairs.left, pairs.right)
    ]
    result = verify_baselines(fit_baselines(*training_images(tiny_faces)), pairs)[0]
    assert result.none.auc == pytest.approx(roc_auc_score(pairs.same, cosines), abs=1e-9)


def test_pca_is_white_on_the_training_set_and_lda_separates_it():
    random = np.random.RandomState(0)
    identities = nets.images(6, seed=1)
    labels = np.repeat(np.arange(6), 8)
    images = [
        np.clip(identities[k] + random.normal(0, 40, identities[k].shape), 0, 255).astype(np.uint8) for k in labels
    ]
    raw, pca, lda = fit_baselines(images, labels)
    plain, mirrored = pixel_features(images)
    white = pca.embed(np.concatenate([plain, mirrored]))
    np.testing.assert_allclose(np.cov(white.T), np.eye(white.shape[1]), atol=0.05)
    separated = lda.embed(plain)
    assert separated.shape == (48, 5)
    centres = np.stack([separated[labels == k].mean(0) for k in range(6)])
    nearest = ((separated[:, None] - centres) ** 2).sum(2).argmin(1)
    assert (nearest == labels).all()


@pytest.mark.parametrize(
    "labels, message",
    [([0, 0, 0, 0], "1 identities"), ([0, 1, 2, 3], "4 identities"), ([0, 1], "2 labels for 4 images")],
)
def test_training_sets_that_say_nothing_are_refused(labels, message):
    with pytest.raises(UserError, match=message):
        fit_baselines(nets.images(4), labels)


def test_no_images():
    with pytest.raises(UserError, match="no images"):
        fit_baselines([], [])
