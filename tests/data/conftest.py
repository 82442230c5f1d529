"""Images for the tests of data preparation."""

from __future__ import annotations

import cv2
import pytest

from arcface_mx.data.align.detector import Detector
from arcface_mx.util.errors import UserError
from tests.support.face_sets import jpeg


@pytest.fixture(scope="module")
def detector():
    try:
        return Detector()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def portrait():
    """A photograph of one face, 512×600, that comes with matplotlib."""
    cbook = pytest.importorskip("matplotlib.cbook")
    return cv2.imread(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


@pytest.fixture
def images(tmp_path):
    """A folder with identities s1 (3 images), s2 (2 images) and s10 (1 image)."""
    folder = tmp_path / "images"
    for k, (name, count) in enumerate((("s1", 3), ("s2", 2), ("s10", 1))):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number + 9}.jpg").write_bytes(jpeg(10 * k + number))
    return folder
