"""pack and unpack: photos in, photos out; the same bytes each time; nothing half-written."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcface_mx.cli import main
from arcface_mx.data.bins.bins import read_pairs
from arcface_mx.data.check.check import check_path
from arcface_mx.data.image_files import images_by_identity
from arcface_mx.data.pack import pack as pack_module
from arcface_mx.data.pack.encode import PackOptions
from arcface_mx.data.pack.pack import pack_images
from arcface_mx.data.pack.unpack import unpack_images
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.util.errors import UserError
from tests.support.face_sets import jpeg, read_bytes, write_bytes, write_set


@pytest.fixture
def photos(tmp_path):
    """Folder with identities s1 (3 photos), s2 (2), s10 (1)."""
    folder = tmp_path / "photos"
    for person, (name, count) in enumerate((("s1", 3), ("s2", 2), ("s10", 1))):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / (f"{number + 9}.jpg")).write_bytes(jpeg(10 * person + number))
    return folder


def files(folder):
    return {name: read_bytes(os.path.join(str(folder), name)) for name in sorted(os.listdir(str(folder)))}


def test_photos_are_packed_in_natural_order_with_their_bytes(photos, tmp_path):
    pack_images(str(photos), str(tmp_path / "set"), PackOptions())
    index = RecordIndex.open(str(tmp_path / "set"))
    assert index.labels.tolist() == [0, 0, 0, 1, 1, 2] and index.num_classes == 3
    assert [image for _, _, image in index.images()] == [jpeg(k) for k in (0, 1, 2, 10, 11, 20)]
    assert read_bytes(str(tmp_path / "set" / "names.txt")) == b"0\ts1\t3\n1\ts2\t2\n2\ts10\t1\n"
    assert not check_path(str(tmp_path / "set"))[0].problems


def test_workers_change_nothing(photos, tmp_path):
    for workers in (1, 3):
        pack_images(str(photos), str(tmp_path / str(workers)), PackOptions(quality=80), workers)
    assert files(tmp_path / "1") == files(tmp_path / "3")


def test_unpack_reverses_pack(photos, tmp_path):
    pack_images(str(photos), str(tmp_path / "set"), PackOptions())
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
    unpack_images(str(base / "set"), str(base / "photos"))  # no names.txt: folders are called by label
    pack_images(str(base / "photos"), str(base / "again"), PackOptions())
    for name in ("train.rec", "train.idx", "property"):
        assert read_bytes(str(base / "set" / name)) == read_bytes(str(base / "again" / name))


def test_lists(photos, tmp_path):
    (photos / "s1" / "note.txt").write_text("not a photo")
    expected = [["s1/9.jpg", "s1/10.jpg"], ["s2/9.jpg"]]
    for text in (
        "s2/9.jpg\tB\n# a comment\n\ns1/10.jpg\tA\ns1/9.jpg\tA\n",
        "0\t1.000000\ts2/9.jpg\n1\t0.000000\ts1/9.jpg\n2\t0.000000\ts1/10.jpg\n",
        "1\ts2/9.jpg\t7\n1\ts1/9.jpg\t3\n1\ts1/10.jpg\t3\n",
    ):
        path = photos / "list.lst"
        path.write_text(text)
        found = images_by_identity(str(path))
        assert [[os.path.relpath(p, str(photos)) for p in paths] for paths in found.paths] == expected
    for text, told in (
        ("s1/9.jpg", "line 1: expected"),
        ("s1/9.jpg\tA\nx.jpg\tA", "line 2: there is no file"),
        ("", "is empty"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=told):
            images_by_identity(str(path))


def test_folders_without_photos(tmp_path):
    for told in ("no such file or folder", "no sub-folder contains an image"):
        with pytest.raises(UserError, match=told):
            images_by_identity(str(tmp_path / "photos"))
        (tmp_path / "photos" / "empty").mkdir(parents=True, exist_ok=True)


def test_photos_of_another_size(photos, tmp_path):
    grey = np.tile(np.arange(92, dtype=np.uint8) * 2, (112, 1))
    cv2.imwrite(str(photos / "s2" / "grey.pgm"), grey)
    with pytest.raises(UserError, match=r"grey.pgm: is 112×92 .* align the images first"):
        pack_images(str(photos), str(tmp_path / "set"), PackOptions())
    sides = {}
    for fit in ("pad", "stretch"):
        pack_images(str(photos), str(tmp_path / fit), PackOptions(fit=fit))
        index = RecordIndex.open(str(tmp_path / fit))
        sides[fit] = cv2.imdecode(np.frombuffer(index.read(6)[1], np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_allclose(sides["pad"][:, 10:102], grey, atol=4)
    np.testing.assert_allclose(sides["pad"][:, :10], 0, atol=4)
    np.testing.assert_allclose(sides["stretch"][56], np.linspace(0, 182, 112), atol=4)


def test_quality_encodes_anew(photos, tmp_path):
    sizes = []
    for quality in (30, 95):
        pack_images(str(photos), str(tmp_path / str(quality)), PackOptions(quality=quality))
        sizes.append(os.path.getsize(tmp_path / str(quality) / "train.rec"))
    assert sizes[0] < 0.7 * sizes[1]


def test_minimum_of_photos_and_held_out_identities(tmp_path):
    for person in range(12):
        folder = tmp_path / "photos" / (f"p{person}")
        folder.mkdir(parents=True)
        for number in range(1 if person == 5 else 4):
            (folder / (f"{number}.jpg")).write_bytes(jpeg(10 * person + number))
    summary = pack_images(str(tmp_path / "photos"), str(tmp_path / "set"), PackOptions(min_images=2, held_out=4))
    assert summary["identities_left_out"] == ["p5"] and summary["identities"] == 7
    index = RecordIndex.open(str(tmp_path / "set"))
    pairs = read_pairs(str(tmp_path / "set" / "held_out.bin"))
    assert len(pairs) == 2 * 20 and pairs.same.sum() == 20  # 4 people × 6 pairs, a multiple of ten
    assert not {image for _, _, image in index.images()} & set(pairs.images())
    assert len(read_bytes(str(tmp_path / "set" / "held_out.txt")).split()) == 4
    again = pack_images(str(tmp_path / "photos"), str(tmp_path / "again"), PackOptions(min_images=2, held_out=4))
    assert files(tmp_path / "set") == files(tmp_path / "again") and again == summary
    pack_images(str(tmp_path / "photos"), str(tmp_path / "other"), PackOptions(min_images=2, held_out=0.34, seed=1))
    assert read_bytes(str(tmp_path / "other" / "held_out.txt")) != read_bytes(str(tmp_path / "set" / "held_out.txt"))


def test_bad_photos_are_refused_or_listed(photos, tmp_path):
    (photos / "s2" / "10.jpg").write_bytes(jpeg(1)[:-400])
    (photos / "s10" / "9.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"10.jpg: cannot be decoded as an image \(and 1 more images\)"):
        pack_images(str(photos), str(tmp_path / "set"), PackOptions())
    assert os.listdir(tmp_path) == ["photos"]
    summary = pack_images(str(photos), str(tmp_path / "set"), PackOptions(leave_out_bad=True))
    assert len(summary["images_left_out"]) == 2 and (summary["images"], summary["identities"]) == (4, 2)
    assert RecordIndex.open(str(tmp_path / "set")).num_classes == 2
    assert json.loads(read_bytes(str(tmp_path / "set" / "pack.json"))) == summary
    for path in photos.glob("*/*"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="none of the images can be used"):
        pack_images(str(photos), str(tmp_path / "none"), PackOptions(leave_out_bad=True))


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk is full")])
def test_interrupted_run_leaves_nothing(photos, tmp_path, monkeypatch, error):
    real, calls = pack_module.encode_image, []

    def stop(path, options):
        calls.append(path)
        if len(calls) == 4:
            raise error
        return real(path, options)

    monkeypatch.setattr(pack_module, "encode_image", stop)
    with pytest.raises((KeyboardInterrupt, OSError)):
        pack_images(str(photos), str(tmp_path / "set"), PackOptions())
    assert os.listdir(tmp_path) == ["photos"]


@pytest.mark.parametrize(
    "options",
    [
        PackOptions(fit="crop"),
        PackOptions(quality=0),
        PackOptions(min_images=0),
        PackOptions(held_out=-1),
        PackOptions(held_out=2.5),
        PackOptions(held_out=3),
        PackOptions(min_images=9),
        PackOptions(height=8),
    ],
)
def test_impossible_options(photos, tmp_path, options):
    with pytest.raises(UserError):
        pack_images(str(photos), str(tmp_path / "set"), options)
    assert os.listdir(tmp_path) == ["photos"]


def test_names_cannot_lead_out_of_the_folder(tmp_path):
    write_set(str(tmp_path / "set"))
    for name in ("../evil", "..", "", "a/b", "/etc"):
        write_bytes(str(tmp_path / "set" / "names.txt"), (f"0\t{name}\t3\n").encode())
        with pytest.raises(UserError, match="line 1"):
            unpack_images(str(tmp_path / "set"), str(tmp_path / "out"))
    write_bytes(str(tmp_path / "set" / "names.txt"), b"0\ta\t3\n1\ta\t2\n")
    with pytest.raises(UserError, match="two labels have the same name"):
        unpack_images(str(tmp_path / "set"), str(tmp_path / "out"))


def test_commands(photos, tmp_path, capsys):
    out = str(tmp_path / "set")
    assert main(["data", "pack", str(photos), out]) == 0
    assert "6 images of 3 identities" in capsys.readouterr().out
    assert main(["data", "pack", str(photos), out]) == 2
    assert main(["data", "pack", str(photos), out + "2", "--size", "112"]) == 2
    assert main(["data", "unpack", out, str(tmp_path / "again")]) == 0
    assert main(["data", "check", out]) == 0


def test_unpack_pairs(tiny_pairs, tmp_path):
    summary = unpack_images(tiny_pairs, str(tmp_path / "out"))
    lines = read_bytes(str(tmp_path / "out" / "pairs.txt")).decode().splitlines()
    pairs = read_pairs(tiny_pairs)
    assert summary == {"images": pairs.num_images, "pairs": 40} and len(lines) == 40
    first, second, same = lines[3].split("\t")
    images = list(pairs.images())
    assert read_bytes(str(tmp_path / "out" / first)) == images[pairs.left[3]]
    assert read_bytes(str(tmp_path / "out" / second)) == images[pairs.right[3]]
    assert same == str(int(pairs.same[3]))
