"""The reader in data/README.md runs and reads the files that are written here."""

from __future__ import annotations

import os
import pickle
import re

from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.recordio.index import RecordIndex
from tests.conftest import shared_path
from tests.support.face_sets import read_bytes, write_set

PAGE = os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, os.pardir, "data", "README.md")


def reader_on_the_page():
    (code,) = re.findall(r"```python\n(.*?)```", read_bytes(PAGE).decode("utf-8"), re.S)
    names = {}
    exec(code, names)
    return names["read_set"]


def test_reader_on_the_page_reads_a_written_set(tmp_path):
    written = write_set(str(tmp_path / "faces"), (3, 2, 4))
    records = list(reader_on_the_page()(str(tmp_path / "faces")))
    assert records[0] == (0, (10.0, 13.0), b"")
    assert records[1:10] == [(k + 1, (float(label),), image) for k, (label, image) in enumerate(written)]
    assert records[10:] == [(10, (1.0, 4.0), b""), (11, (4.0, 6.0), b""), (12, (6.0, 10.0), b"")]


def test_reader_on_the_page_agrees_with_record_index():
    folder = shared_path("faces/celeb")
    index = RecordIndex.open(folder)
    records = {number: (labels, image) for number, labels, image in reader_on_the_page()(folder)}
    for number, label, image in index.images():
        assert records[number] == ((float(label),), image)


def test_pickle_reads_a_set_written_here(tiny_pairs):
    with open(tiny_pairs, "rb") as stream:
        images, same = pickle.load(stream, encoding="bytes")
    pairs = read_pairs(tiny_pairs)
    distinct = list(pairs.images())
    assert same == pairs.same.tolist()
    assert images == [distinct[k] for pair in zip(pairs.left, pairs.right) for k in pair]
