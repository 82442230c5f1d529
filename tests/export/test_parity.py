"""Images on which exported forms are compared are spread evenly over their source."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from arcface_mx.export.parity import check_images


@pytest.mark.parametrize("count, limit, expected", [(33, 32, 32), (33, 4, 4), (3, 32, 3)])
def test_a_folder_gives_as_many_images_as_asked_for_with_the_first_and_the_last(tmp_path, count, limit, expected):
    levels = [7 * number for number in range(count)]
    for number, level in enumerate(levels):
        cv2.imwrite(str(tmp_path / f"{number:02d}.png"), np.full((32, 32, 3), level, np.uint8))
    images = check_images(str(tmp_path), (32, 32), limit)
    means = [round(float(np.mean(image))) for image in images]
    assert len(images) == expected and means == sorted(set(means))
    assert (means[0], means[-1]) == (levels[0], levels[-1])
