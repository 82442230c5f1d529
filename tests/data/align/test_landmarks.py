"""Landmark files as published are read, and files with another order of the numbers are refused."""

from __future__ import annotations

import numpy as np
import pytest

from arcface_mx.data.align.landmarks import read_landmarks
from arcface_mx.data.align.transform import REFERENCE
from arcface_mx.util.errors import UserError

COLUMNS = """left_eye_x left_eye_y right_eye_x right_eye_y nose_x nose_y mouth_left_x mouth_left_y
mouth_right_x mouth_right_y""".split()
NUMBERS = "38 52 74 51 56 72 42 92 71 93".split()
CELEBA = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"


@pytest.mark.parametrize(
    "text, name",
    [
        (f"1\n{CELEBA}\n000001.jpg  {'  '.join(NUMBERS)}\n", "000001.jpg"),
        (f"image_id,{CELEBA.replace(' ', ',')}\n000001.jpg,{','.join(NUMBERS)}\n", "000001.jpg"),
        ("0000045/001.jpg\t0\t{}\n".format("\t".join(NUMBERS)), "0000045/001.jpg"),
        (f"0000045/001.jpg {' '.join(NUMBERS)}\r\n\r\n", "0000045/001.jpg"),
        (f"1.jpg {' '.join(NUMBERS)} 0.999\n", "1.jpg"),  # ijbc_name_5pts_score.txt
        (f"1.jpg {' '.join(NUMBERS)} 1\n", "1.jpg"),
        (f"image,note,{','.join(COLUMNS)}\na b.jpg,x,{','.join(NUMBERS)}\nnone.jpg,y{',' * 10}\n", "a b.jpg"),
    ],
)
def test_published_landmark_files_are_read(tmp_path, text, name):
    (tmp_path / "points").write_text(text)
    points = read_landmarks(str(tmp_path / "points"))
    assert list(points) == [name]
    assert points[name].tolist() == np.asarray(NUMBERS, float).reshape(5, 2).tolist()


# The ten numbers in other orders.
ORDERS = {
    "all x, then all y": NUMBERS[::2] + NUMBERS[1::2],
    "y before x": [NUMBERS[k ^ 1] for k in range(10)],
    "left and right exchanged": NUMBERS[2:4] + NUMBERS[:2] + NUMBERS[4:6] + NUMBERS[8:] + NUMBERS[6:8],
    "the mouth before the nose": NUMBERS[:4] + NUMBERS[6:] + NUMBERS[4:6],
    "the mouth before the eyes": NUMBERS[6:] + NUMBERS[4:6] + NUMBERS[:4],
}


@pytest.mark.parametrize("order", ORDERS)
def test_another_order_of_the_numbers_is_recognised(tmp_path, order):
    (tmp_path / "points").write_text(f"a.jpg {' '.join(ORDERS[order])}\n")
    with pytest.raises(UserError, match="looks like .*" + order):
        read_landmarks(str(tmp_path / "points"))


@pytest.mark.parametrize("squeeze", [0.4, 0.1, -0.1])
def test_profiles_are_accepted(tmp_path, squeeze):
    points = (REFERENCE - [56, 0]) * [squeeze, 1] + [[56, 0], [56, 0], [80, 0], [56, 0], [56, 0]]
    (tmp_path / "points").write_text("a.jpg {}\n".format(" ".join(f"{v:.1f}" for v in points.ravel())))
    assert len(read_landmarks(str(tmp_path / "points"))) == 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "no landmarks"),
        ("a.jpg 1 2 3\n", "line 1: expected an image's name and ten numbers"),
        (f"a.jpg {' '.join(NUMBERS)}\nb.jpg {' '.join(NUMBERS[:9])} x\n", "line 2"),
        (f"a.jpg {' '.join(NUMBERS[:9])} nan\n", "line 1"),
        (f"a.jpg {' '.join(NUMBERS)}\n" * 2, "line 2: a.jpg is listed twice"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    (tmp_path / "points").write_text(text)
    with pytest.raises(UserError, match=message):
        read_landmarks(str(tmp_path / "points"))
