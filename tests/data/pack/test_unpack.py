"""Unpacking reverses packing."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.pack.encode import PackOptions
from arcface_mx.data.pack.pack import pack_images
from arcface_mx.data.pack.unpack import unpack_images
from arcface_mx.util.errors import UserError
from tests.support.face_sets import read_bytes, write_bytes, write_set


def test_unpack_reverses_pack(images, tmp_path):
    pack_images(str(images), str(tmp_path / "set"), PackOptions())
    unpack_images(str(tmp_path / "set"), str(tmp_path / "again"))
    assert sorted(os.listdir(tmp_path / "again")) == ["s1", "s10", "s2"]
    pack_images(str(tmp_path / "again"), str(tmp_path / "set2"), PackOptions())
    for name in ("train.rec", "train.idx", "property", "names.txt"):
        assert read_bytes(str(tmp_path / "set" / name)) == read_bytes(str(tmp_path / "set2" / name))


@settings(derandomize=True, deadline=None, max_examples=15)
@given(counts=st.lists(st.integers(1, 5), min_size=1, max_size=12))
def test_pack_reverses_unpack(tmp_path_factory, counts):
    base = tmp_path_factory.mktemp("round")
    write_set(str(base / "set"), counts)
    unpack_images(str(base / "set"), str(base / "images"))  # there is no names.txt: folders are named by label
    pack_images(str(base / "images"), str(base / "again"), PackOptions())
    for name in ("train.rec", "train.idx", "property"):
        assert read_bytes(str(base / "set" / name)) == read_bytes(str(base / "again" / name))


def test_names_cannot_lead_out_of_the_folder(tmp_path):
    write_set(str(tmp_path / "set"))
    for name in ("../evil", "..", "", "a/b", "/etc"):
        write_bytes(str(tmp_path / "set" / "names.txt"), (f"0\t{name}\t3\n").encode())
        with pytest.raises(UserError, match="line 1"):
            unpack_images(str(tmp_path / "set"), str(tmp_path / "out"))
    write_bytes(str(tmp_path / "set" / "names.txt"), b"0\ta\t3\n1\ta\t2\n")
    with pytest.raises(UserError, match="two labels have the same name"):
        unpack_images(str(tmp_path / "set"), str(tmp_path / "out"))


def test_verification_set_becomes_images_and_pairs(tiny_pairs, tmp_path):
    summary = unpack_images(tiny_pairs, str(tmp_path / "out"))
    lines = read_bytes(str(tmp_path / "out" / "pairs.txt")).decode().splitlines()
    pairs = read_pairs(tiny_pairs)
    assert summary == {"images": pairs.num_images, "pairs": 40} and len(lines) == 40
    first, second, same = lines[3].split("\t")
    images = list(pairs.images())
    assert read_bytes(str(tmp_path / "out" / first)) == images[pairs.left[3]]
    assert read_bytes(str(tmp_path / "out" / second)) == images[pairs.right[3]]
    assert same == str(int(pairs.same[3]))
