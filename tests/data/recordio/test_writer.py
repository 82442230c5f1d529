"""RecordWriter writes the bytes that MXNet's own writer writes, and refuses sets that no reader accepts."""

from __future__ import annotations

import os
import struct

import pytest

from arcface_mx.data.recordio.record import HEADER, MAGIC
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.util.errors import UserError
from tests.support.face_sets import jpeg, read_bytes

WORD = struct.pack("<I", MAGIC)
IMAGES = [jpeg(0), b"x", WORD, b"abcd" + WORD + WORD + b"ef" + b"gh" + WORD, b"a" + WORD + b"bcd", b"abcd" + WORD[:3]]


def test_writes_the_bytes_of_mxnets_writer(tmp_path):
    from mxnet import recordio

    with RecordWriter(str(tmp_path / "ours")) as writer:
        for image in IMAGES:
            writer.add(0, image)
    os.makedirs(tmp_path / "theirs")
    stream = recordio.MXIndexedRecordIO(*(str(tmp_path / "theirs" / name) for name in ("train.idx", "train.rec")), "w")
    end = len(IMAGES) + 1
    stream.write_idx(0, recordio.pack(recordio.IRHeader(0, [end, end + 1], 0, 0), b""))
    for number, image in enumerate(IMAGES, 1):
        stream.write_idx(number, HEADER.pack(0, 0.0, number, 0) + image)
    stream.write_idx(end, recordio.pack(recordio.IRHeader(0, [1, end], end, 0), b""))
    stream.close()
    for name in ("train.rec", "train.idx"):
        assert read_bytes(str(tmp_path / "ours" / name)) == read_bytes(str(tmp_path / "theirs" / name))
    assert read_bytes(str(tmp_path / "ours" / "property")) == b"1,112,112\n"


@pytest.mark.parametrize(
    "records, message",
    [
        ([], "no image was added"),
        ([(1, b"x")], "label 1 follows label -1"),
        ([(0, b"x"), (2, b"x")], "label 2 follows label 0"),
        ([(0, b"x"), (1, b"x"), (0, b"x")], "label 0 follows label 1"),
        ([(0, b"")], "image 1 of identity 0 is empty"),
    ],
)
@pytest.mark.parametrize("exists", [False, True])
def test_a_refused_set_leaves_no_file(tmp_path, records, message, exists):
    folder = tmp_path / "faces"
    if exists:
        folder.mkdir()
    with pytest.raises(UserError, match=message):
        with RecordWriter(str(folder)) as writer:
            for label, image in records:
                writer.add(label, image)
    assert folder.exists() == exists and (not exists or os.listdir(folder) == [])


def test_an_existing_set_is_kept(tmp_path):
    (tmp_path / "train.idx").write_text("")
    with pytest.raises(UserError, match="already holds train.idx"):
        RecordWriter(str(tmp_path))
