"""Images for the tests of data preparation."""

from __future__ import annotations

import pytest

from tests.support.face_sets import jpeg


@pytest.fixture
def images(tmp_path):
    """A folder with identities s1 (3 images), s2 (2 images) and s10 (1 image)."""
    folder = tmp_path / "images"
    for k, (name, count) in enumerate((("s1", 3), ("s2", 2), ("s10", 1))):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number + 9}.jpg").write_bytes(jpeg(10 * k + number))
    return folder
