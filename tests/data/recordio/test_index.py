"""RecordIndex reads every layout in use. It refuses damaged sets with one line that names the fault."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.record import MAGIC
from arcface_mx.util.errors import UserError
from tests.support.face_sets import (
    HEADER_SIZE,
    copy_set,
    float_bytes,
    jpeg,
    patch,
    read_bytes,
    write_bytes,
    write_plain,
    write_set,
)

COUNTS = (3, 2, 4)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("set") / "faces")
    return folder, write_set(folder, COUNTS)


@pytest.fixture
def faces(original, tmp_path):
    return copy_set(original[0], str(tmp_path / "faces"))


def refusal(path) -> str:
    with pytest.raises(UserError) as caught:
        RecordIndex.open(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_reads_what_the_writer_wrote(original):
    folder, written = original
    index = RecordIndex.open(folder)
    assert (index.num_classes, index.height, index.width) == (3, 112, 112)
    assert index.header == (10, 13)
    assert index.identity_ranges.tolist() == [[1, 4], [4, 6], [6, 10]]
    assert index.numbers.tolist() == list(range(1, 10))
    assert [(label, image) for _, label, image in index.images()] == written
    assert list(index.images(np.asarray([3]))) == [(4, *written[3])]
    assert index.labels.dtype == index.offsets.dtype == np.int64


def test_missing_index_file_is_rebuilt(original, faces):
    os.unlink(os.path.join(faces, "train.idx"))
    rebuilt, index = RecordIndex.open(faces), RecordIndex.open(original[0])
    assert not rebuilt.has_index_file and index.has_index_file
    assert rebuilt.numbers.tolist() == index.numbers.tolist()
    assert rebuilt.offsets.tolist() == index.offsets.tolist()


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("with_index", [True, False])
def test_plain_file_with_array_labels_is_read(tmp_path, first, with_index):
    path = str(tmp_path / "any.rec")
    images = [jpeg(i) for i in range(4)]
    write_plain(path, [(1, 7.5), (0, 3), (2, 9), (0, 1)], images, first)
    if not with_index:
        os.unlink(path[:-4] + ".idx")
    index = RecordIndex.open(path)
    assert index.labels.tolist() == [1, 0, 2, 0]
    assert index.numbers.tolist() == list(range(first, first + 4))
    assert index.header is None and index.identity_ranges is None and not index.has_property
    assert (index.num_classes, index.height, index.width) == (3, 112, 112)
    assert [image for _, _, image in index.images()] == images
    order, bounds = index.groups()
    assert [sorted(order[a:b].tolist()) for a, b in zip(bounds, bounds[1:])] == [[1, 3], [0], [2]]


@pytest.mark.parametrize("with_index", [True, False])
def test_image_that_holds_the_magic_number_is_read_whole(tmp_path, with_index):
    path = str(tmp_path / "any.rec")
    magic = struct.pack("<I", MAGIC)
    # The header of a payload has 24 bytes, so these are at multiples of four and split the record.
    tail = b"abcd" + magic + magic + b"ef" + b"gh" + magic
    images = [jpeg(0).ljust(len(jpeg(0)) + -len(jpeg(0)) % 4, b"\0") + tail, jpeg(1)]
    write_plain(path, [(0,), (1,)], images)
    if not with_index:
        os.unlink(path[:-4] + ".idx")
    assert read_bytes(path).count(magic) > 2
    assert [image for _, _, image in RecordIndex.open(path).images()] == images
    write_bytes(path, read_bytes(path)[: read_bytes(path).rindex(magic) + 9])
    assert "cut off" in refusal(path)


def test_missing_folder_and_empty_files_are_refused(tmp_path):
    assert "no such file or folder" in refusal(tmp_path / "nowhere")
    assert "no file train.rec" in refusal(tmp_path)
    write_bytes(str(tmp_path / "train.rec"), b"")
    assert "holds no image" in refusal(tmp_path)
    write_bytes(str(tmp_path / "train.rec"), b"abc")
    assert "train.rec" in refusal(tmp_path)


@pytest.mark.parametrize("text", [b"", b"3", b"3,112", b"a,b,c", b"3,0,112", b"\xff\xfe", b"3,112,112,112"])
def test_unreadable_property_is_refused(faces, text):
    write_bytes(os.path.join(faces, "property"), text)
    assert "property: must hold classes,height,width" in refusal(faces)


@pytest.mark.parametrize(
    "text, message",
    [
        (b"2,112,112", "record 6 has label 2, but property says 2 classes (labels run 0…1) (and 3 more records)"),
        (b"5,112,112", "label 3 has no image, though property says 5 classes (2 labels have none)"),
        (b"999999999999,112,112", "label 3 has no image"),
        (b"3,112,96", "record 1 is 112×112 (height×width), but property says 112×96"),
    ],
)
def test_property_that_contradicts_the_images_is_refused(faces, text, message):
    write_bytes(os.path.join(faces, "property"), text)
    assert message in refusal(faces)


@pytest.mark.parametrize(
    "label, message",
    [
        (3.0, "record 4 has label 3, but property says 3 classes"),
        (1e9, "record 4 has label 1000000000: labels are float32"),
        (0.5, "record 4 has label 0.5, which is no whole number"),
        (-1.0, "record 4 has label -1"),
        (float("nan"), "record 4 has label nan"),
        (float("inf"), "record 4 has label inf"),
        (1e30, "record 4 has label 1e+30"),
        (2.0, "record 4 has label 2, but its identity record's other images have label 1"),
    ],
)
def test_changed_label_is_refused(faces, label, message):
    offset = RecordIndex.open(faces).offsets[3]
    patch(os.path.join(faces, "train.rec"), offset + 8 + 4, float_bytes(label))
    if "other images" in message:  # identity 1 would keep one image of two: change the larger identity 0
        patch(os.path.join(faces, "train.rec"), offset + 8 + 4, float_bytes(1))
        patch(os.path.join(faces, "train.rec"), RecordIndex.open(faces).offsets[0] + 12, float_bytes(1))
        message = "record 1 has label 1, but its identity record's other images have label 0"
    assert message in refusal(faces)


def test_identities_merged_by_their_labels_are_refused(faces):
    index = RecordIndex.open(faces)
    for offset in index.offsets[3:5]:
        patch(index.path, offset + 12, float_bytes(0))
    assert "label 1 has no image" in refusal(faces)
    write_bytes(os.path.join(faces, "property"), b"2,112,112")
    for offset in index.offsets[5:]:
        patch(index.path, offset + 12, float_bytes(1))
    assert "two identity records have the same label" in refusal(faces)


def test_stale_header_and_identity_records_are_refused(faces):
    index = RecordIndex.open(faces)
    patch(index.path, 8 + 24, float_bytes(9, 12))
    assert "the header record says images end before record 9" in refusal(faces)
    patch(index.path, 8 + 24, float_bytes(10, 13))
    RecordIndex.open(faces)
    patch(index.path, os.path.getsize(index.path) - 8, float_bytes(6, 9))
    assert "identity record 2 holds images 6…8, which does not join" in refusal(faces)


def test_index_of_another_file_is_refused(faces):
    path = os.path.join(faces, "train.idx")
    lines = read_bytes(path).decode().splitlines()

    def message(changed):
        write_bytes(path, ("\n".join(changed) + "\n").encode())
        return refusal(faces)

    number, offset = lines[5].split()
    assert f"record 5 starts at offset {int(offset) + 4}, where there is no record" in message(
        lines[:5] + [f"5\t{int(offset) + 4}"] + lines[6:]
    )
    assert "outside the file" in message(lines[:5] + ["5\t99999999"] + lines[6:])
    assert "offset -8, outside" in message(lines[:5] + ["5\t-8"] + lines[6:])
    assert "line 6 is not a record number and an offset" in message(lines[:5] + ["five\t8"] + lines[6:])
    assert "line 6 is not a record number and an offset" in message(lines[:5] + ["5"] + lines[6:])
    assert "stands more than once" in message(lines + [lines[3]])
    assert "record 6 starts inside another record" in message(lines[:6] + [f"6\t{offset}"] + lines[7:])
    assert "belong to no record" in message(lines[:-1])
    assert "belong to no record" in message(lines[:5] + lines[6:])
    assert "line 1 is not" in message([])


def test_record_taken_out_of_both_files_is_missed(faces):
    index = RecordIndex.open(faces)
    data, (start, end) = read_bytes(index.path), index.offsets[4:6]
    write_bytes(index.path, data[:start] + data[end:])
    path = os.path.join(faces, "train.idx")
    entries = [(int(n), int(o)) for n, o in (line.split() for line in read_bytes(path).splitlines())]
    moved = [(n, o - (end - start) if o > start else o) for n, o in entries if n != 5]
    write_bytes(path, b"".join(b"%d\t%d\n" % entry for entry in moved))
    assert "record 5 is missing from the index" in refusal(faces)
    os.unlink(path)
    assert "record 5 is missing" in refusal(faces)


def test_rec_cut_off_anywhere_is_refused(original, faces):
    path, data = os.path.join(faces, "train.rec"), read_bytes(os.path.join(original[0], "train.rec"))
    for size in list(range(0, 120, 7)) + list(range(120, len(data), 997)) + [len(data) - 1]:
        write_bytes(path, data[:size])
        assert "train.rec" in refusal(faces), size
    index_path = os.path.join(faces, "train.idx")
    os.unlink(index_path)
    for size in list(range(120, len(data), 997)) + [len(data) - 1]:
        write_bytes(path, data[:size])
        assert "train.rec" in refusal(faces), size


def test_image_record_without_image_is_refused(tmp_path):
    path = str(tmp_path / "any.rec")
    write_plain(path, [(0,), (1,), (1,)], [jpeg(0), b"", jpeg(1)])
    assert "record 1 holds no image" in refusal(path)


def test_survey_lists_all_problems_and_leaves_unreadable_records_out(faces):
    index = RecordIndex.open(faces)
    patch(index.path, index.offsets[2], b"oops")
    patch(index.path, index.offsets[7] + 12, float_bytes(7))
    survey = RecordIndex.survey(faces)
    assert survey.numbers.tolist() == [1, 2, 4, 5, 6, 7, 8, 9]
    text = "; ".join(map(str, survey.problems))
    assert "record 3 starts at" in text and "record 8 has label 7" in text


def test_file_that_shrinks_after_opening_is_refused(faces):
    index = RecordIndex.open(faces)
    os.truncate(index.path, 5000)
    with pytest.raises(UserError, match="record 9"):
        next(index.images(np.asarray([8])))


def test_fingerprint_is_of_numbers_labels_and_images_alone(original, faces):
    truth = RecordIndex.open(original[0]).fingerprint
    assert RecordIndex.open(faces).fingerprint == truth and len(truth) == 64
    for name in ("train.idx", "property"):
        os.unlink(os.path.join(faces, name))
    assert RecordIndex.open(faces).fingerprint == truth
    index = RecordIndex.open(faces)
    patch(index.path, index.offsets[0] + 12, float_bytes(1))
    assert RecordIndex.survey(faces).fingerprint != truth
    patch(index.path, index.offsets[0] + 12, float_bytes(0))
    assert RecordIndex.open(faces).fingerprint == truth
    patch(index.path, index.offsets[8] + 8 + HEADER_SIZE + 400, b"changed")
    assert RecordIndex.open(faces).fingerprint != truth


DAMAGE = st.one_of(
    st.tuples(st.just("flip"), st.integers(0, 10**6), st.integers(1, 255)),
    st.tuples(st.just("cut"), st.integers(0, 10**6), st.just(0)),
    st.tuples(st.just("drop"), st.integers(0, 10**6), st.integers(1, 64)),
    st.tuples(st.just("insert"), st.integers(0, 10**6), st.integers(1, 64)),
)


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    name=st.sampled_from(["train.rec", "train.idx", "property"]),
    damage=DAMAGE,
    with_index=st.booleans(),
    head=st.booleans(),
)
def test_damaged_files_are_refused_or_give_the_true_labels(original, tmp_path_factory, name, damage, with_index, head):
    folder = copy_set(original[0], str(tmp_path_factory.mktemp("damaged") / "faces"))
    truth = RecordIndex.open(original[0])
    if not with_index and name != "train.idx":
        os.unlink(os.path.join(folder, "train.idx"))
    path = os.path.join(folder, name)
    data = bytearray(read_bytes(path))
    kind, place, amount = damage
    at = place % len(data)
    if head and name == "train.rec":  # most of the file is images, so choose a byte of a header
        at = int(truth.offsets[place % len(truth)]) + place % 32
    if kind == "flip":
        data[at] ^= amount
    elif kind == "cut":
        del data[at:]
    elif kind == "drop":
        del data[at : at + amount]
    else:
        data[at:at] = bytes(amount)
    write_bytes(path, bytes(data))
    try:
        index = RecordIndex.open(folder)
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert index.labels.tolist() == truth.labels.tolist()
    assert index.offsets.tolist() == truth.offsets.tolist()
    assert len(list(index.images())) == len(truth)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(order=st.permutations(range(13)))
def test_index_lines_may_have_any_order(original, tmp_path_factory, order):
    folder = copy_set(original[0], str(tmp_path_factory.mktemp("shuffled") / "faces"))
    path = os.path.join(folder, "train.idx")
    lines = read_bytes(path).splitlines()
    write_bytes(path, b"\n".join(lines[i] for i in order) + b"\n")
    assert RecordIndex.open(folder).offsets.tolist() == RecordIndex.open(original[0]).offsets.tolist()


@settings(derandomize=True, deadline=None, max_examples=40)
@given(order=st.permutations(range(13)))
def test_offsets_of_other_records_are_refused(original, tmp_path_factory, order):
    folder = copy_set(original[0], str(tmp_path_factory.mktemp("mixed") / "faces"))
    path = os.path.join(folder, "train.idx")
    pairs = [line.split() for line in read_bytes(path).splitlines()]
    write_bytes(path, b"".join(b"%s\t%s\n" % (pairs[i][0], pairs[j][1]) for i, j in enumerate(order)))
    truth = RecordIndex.open(original[0])
    try:
        index = RecordIndex.open(folder)
    except UserError:
        return
    # Images of one identity may change places, because each offset keeps its label.
    assert dict(zip(index.offsets.tolist(), index.labels.tolist())) == dict(
        zip(truth.offsets.tolist(), truth.labels.tolist())
    )
