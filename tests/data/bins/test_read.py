"""Verification sets of Python 2 and 3, in every pickle protocol and published form, are read alike."""

from __future__ import annotations

import base64
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.bins.write import write_pairs
from arcface_mx.data.images import decode_rgb
from arcface_mx.util.errors import UserError

IMAGES = [bytes(range(256)) + b"'\"\\\r\n", b"\x80\xff" * 99, b"a", bytes(range(256)) + b"'\"\\\r\n"]
SAME = [True, False]

# pickle.dumps((images, [True, False]), protocol) by Python 2.7.18.
PYTHON2 = {
    0: "KChscDEKUydceDAwXHgwMVx4MDJceDAzXHgwNFx4MDVceDA2XHgwN1x4MDhcdFxuXHgwYlx4MGNcclx4MGVceDBmXHgxMFx4MTFceDEyXHgxM1"
    "x4MTRceDE1XHgxNlx4MTdceDE4XHgxOVx4MWFceDFiXHgxY1x4MWRceDFlXHgxZiAhIiMkJSZcJ1wnXG5cciJcXCcKcDIKYVMnWltcXF1eX2Bh"
    "YmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ent8fX5ceDdmXHg4MFx4ODFcJ1xuXHIiXFwnCnAzCmFTJ1x4YzhceGM5XHhjYVx4Y2JceGNjXHhjZF"
    "x4Y2VceGNmXHhkMFx4ZDFceGQyXHhkM1x4ZDRceGQ1XHhkNlx4ZDdceGQ4XHhkOVx4ZGFceGRiXHhkY1x4ZGRceGRlXHhkZlx4ZTBceGUxXHhl"
    "Mlx4ZTNceGU0XHhlNVx4ZTZceGU3XHhlOFx4ZTlceGVhXHhlYlx4ZWNceGVkXHhlZVx4ZWZcJ1xuXHIiXFwnCnA0CmFnMgphKGxwNQpJMDEKYU"
    "kwMAphdC4=",
    1: "KF1xAShVLQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJicnCg0iXHECVS1aW1xdXl9gYWJjZGVmZ2hpamtsbW5vcHFyc3"
    "R1dnd4eXp7fH1+f4CBJwoNIlxxA1UtyMnKy8zNzs/Q0dLT1NXW19jZ2tvc3d7f4OHi4+Tl5ufo6err7O3u7ycKDSJccQRoAmVdcQUoSTAxCkkw"
    "MApldC4=",
    2: "gAJdcQEoVS0AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnJwoNIlxxAlUtWltcXV5fYGFiY2RlZmdoaWprbG1ub3Bxcn"
    "N0dXZ3eHl6e3x9fn+AgScKDSJccQNVLcjJysvMzc7P0NHS09TV1tfY2drb3N3e3+Dh4uPk5ebn6Onq6+zt7u8nCg0iXHEEaAJlXXEFKIiJZYYu",
}
PYTHON2_IMAGES = [bytes(range(k, k + 40)) + b"'\n\r\"\\" for k in (0, 90, 200, 0)]


def stored(tmp_path, value, protocol=2):
    path = tmp_path / "set.bin"
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
    return str(path)


def contents(pairs):
    """The 2·P images and the labels that the file lists."""
    distinct = list(pairs.images())
    order = np.stack([pairs.left, pairs.right], 1).ravel()
    return [distinct[number] for number in order], pairs.same.tolist()


FORMS = {
    "bytes": lambda images, same: (images, same),
    "outer list": lambda images, same: [images, same],
    "tuples": lambda images, same: (tuple(images), tuple(same)),
    "bytearrays": lambda images, same: ([bytearray(image) for image in images], same),
    "arrays": lambda images, same: ([np.frombuffer(image, np.uint8) for image in images], same),
    "column arrays": lambda images, same: ([np.frombuffer(image, np.uint8)[:, None] for image in images], same),
    "label array": lambda images, same: (images, np.array(same)),
    "int64 label array": lambda images, same: (images, np.array(same, np.int64)),
    "numpy booleans": lambda images, same: (images, [np.bool_(value) for value in same]),
    "numpy integers": lambda images, same: (images, [np.int32(value) for value in same]),
    "integers": lambda images, same: (images, [int(value) for value in same]),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("form", sorted(FORMS))
def test_python_3_pickles_are_read(tmp_path, form, protocol):
    pairs = read_pairs(stored(tmp_path, FORMS[form](IMAGES, SAME), protocol))
    assert contents(pairs) == (IMAGES, SAME)
    assert (len(pairs), pairs.num_images) == (2, 3)


@pytest.mark.parametrize("protocol", sorted(PYTHON2))
def test_python_2_pickles_are_read(tmp_path, protocol):
    pairs = read_pairs(stored(tmp_path, base64.b64decode(PYTHON2[protocol])))
    assert contents(pairs) == (PYTHON2_IMAGES, SAME)


def test_equal_images_are_one_even_when_stored_twice(tmp_path):
    copies = [bytes(bytearray(b"abc" * 50)) for _ in range(6)]
    pairs = read_pairs(stored(tmp_path, (copies, [True, False, True])))
    assert pairs.num_images == 1
    assert pairs.left.tolist() == pairs.right.tolist() == [0, 0, 0]


def test_positions_name_the_first_use(tmp_path):
    pairs = read_pairs(stored(tmp_path, ([b"a", b"b", b"a", b"c"], SAME)))
    assert pairs.positions.tolist() == [0, 1, 3]
    assert pairs.describe(2).endswith("set.bin: image 3 (pair 1)")


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(st.binary(min_size=1, max_size=9), st.binary(min_size=1, max_size=300), st.booleans()), min_size=1
    ),
)
def test_a_written_set_is_read_back(tmp_path_factory, pairs):
    path = str(tmp_path_factory.mktemp("round") / "set.bin")
    images = [image for left, right, _ in pairs for image in (left, right)]
    same = [label for _, _, label in pairs]
    write_pairs(path, images, same)
    assert contents(read_pairs(path)) == (images, same)


BAD = {
    "one image too few": (([b"a"] * 3, SAME), "3 images for 2 pairs"),
    "no pairs": (([], []), "no pairs"),
    "empty image": (([b"a", b"b", b"c", b""], SAME), "image 3 is empty"),
    "text image": (([b"a", "b", b"c", b"d"], SAME), "image 1 is text, not encoded bytes"),
    "number for an image": (([b"a", b"b", 7, b"d"], SAME), "image 2 is the number 7"),
    "nested images": (([[b"a", b"b"], [b"c", b"d"]] * 2, SAME), "image 0 is a list of 2"),
    "label of 2": (([b"a", b"b"], [2]), "label of pair 0 is the number 2"),
    "label of None": (([b"a", b"b"], [None]), "label of pair 0 is nothing"),
    "three parts": (([b"a", b"b"], [True], 1), "holds a tuple of 3, not"),
    "not a pair of lists": (7, "holds the number 7, not"),
    "images missing": ((None, [True]), "first part is nothing"),
    "labels missing": (([b"a", b"b"], None), "second part is nothing"),
    "decoded pixels": (([np.zeros((4, 4, 3), np.uint8)] * 2, [True]), "shape 4×4×3; images must be encoded"),
    "float array": (([np.zeros(4)] * 2, [True]), "array of type 'f8'"),
    "int32 image": (([np.zeros(4, np.int32)] * 2, [True]), "image 0 is an array of another type than uint8"),
    "a float": (([b"a", b"b"], [1.0]), "opcode BINFLOAT is not allowed"),
    "a dictionary": ({"images": []}, "opcode EMPTY_DICT is not allowed"),
    "huge number": (([b"a", b"b"], [1 << 100]), "a whole number of 13 bytes"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_contents_are_named(tmp_path, case):
    value, message = BAD[case]
    path = stored(tmp_path, value)
    with pytest.raises(UserError) as caught:
        read_pairs(path)
    assert message in str(caught.value) and path in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 a photo", b"PK\x03\x04", b"hello world\n"])
def test_other_kinds_of_file_are_refused(tmp_path, content):
    with pytest.raises(UserError, match="expected a verification set"):
        read_pairs(stored(tmp_path, content))


def test_missing_file_and_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.bin", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            read_pairs(str(path))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_truncation_is_refused(tmp_path, protocol):
    whole = pickle.dumps(([image[:30] for image in IMAGES], SAME), protocol)
    for length in range(len(whole)):
        with pytest.raises(UserError, match="byte"):
            read_pairs(stored(tmp_path, whole[:length]))


def test_a_string_longer_than_the_file_is_not_allocated(tmp_path):
    with pytest.raises(UserError, match="byte 3: expected 1099511627776 bytes in a bytes8, but only 1 remain"):
        read_pairs(stored(tmp_path, b"\x80\x04]\x8e" + (1 << 40).to_bytes(8, "little") + b"x"))


def test_undecodable_image_is_named(tmp_path):
    pairs = read_pairs(stored(tmp_path, ([b"a", b"b"], [True])))
    with pytest.raises(UserError, match=r"set.bin: image 0 \(pair 0\): 1 bytes that are no readable image"):
        list(pairs.pixels())


@pytest.mark.parametrize("content", [b"", b"short", b"\x80\x02" + b"N" * 9999])
def test_a_file_that_changed_is_refused(tmp_path, content):
    pairs = read_pairs(stored(tmp_path, (IMAGES, SAME)))
    stored(tmp_path, content)
    with pytest.raises(UserError, match=r"set.bin: image 0 \(pair 0\): "):
        list(pairs.images())


def test_pixels_are_rgb():
    import cv2

    red = np.zeros((6, 4, 3), np.uint8)
    red[..., 2] = 255  # cv2 is BGR
    decoded = decode_rgb(cv2.imencode(".png", red)[1].tobytes())
    assert decoded.shape == (6, 4, 3) and decoded[0, 0].tolist() == [255, 0, 0]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.sampled_from(range(6)), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_flipped_bytes_never_crash(tmp_path_factory, protocol, flips):
    content = bytearray(pickle.dumps(([np.frombuffer(b"abc", np.uint8), b"de"] * 2, np.array(SAME)), protocol))
    for place, value in flips:
        content[place % len(content)] = value
    path = tmp_path_factory.mktemp("flip") / "set.bin"
    path.write_bytes(bytes(content))
    try:
        pairs = read_pairs(str(path))
        assert len(list(pairs.images())) == pairs.num_images and pairs.left.shape == pairs.same.shape
    except UserError as error:
        assert str(path) in str(error)
