"""Images become a face set: in order, with the same bytes each time, and either completely or not at all."""

from __future__ import annotations

import json
import os
import signal

import cv2
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.check.check import check_path
from arcface_mx.data.pack import pack as pack_module
from arcface_mx.data.pack.encode import PackOptions, encode_images
from arcface_mx.data.pack.pack import pack_images
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.manifest import compare_contents
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.util.errors import UserError
from tests.support.face_sets import jpeg, read_bytes
from tests.support.strange_images import animated_png


def read_files(folder):
    return {name: read_bytes(os.path.join(str(folder), name)) for name in sorted(os.listdir(str(folder)))}


def test_images_keep_their_bytes_and_natural_order(images, tmp_path):
    pack_images(str(images), str(tmp_path / "set"), PackOptions())
    index = RecordIndex.open(str(tmp_path / "set"))
    assert index.labels.tolist() == [0, 0, 0, 1, 1, 2] and index.num_classes == 3
    assert [image for _, _, image in index.images()] == [jpeg(k) for k in (0, 1, 2, 10, 11, 20)]
    assert read_bytes(str(tmp_path / "set" / "names.txt")) == b"0\ts1\t3\n1\ts2\t2\n2\ts10\t1\n"
    assert not check_path(str(tmp_path / "set"))[0].problems


def test_number_of_workers_does_not_change_the_set(images, tmp_path):
    for workers in (1, 3):
        pack_images(str(images), str(tmp_path / str(workers)), PackOptions(quality=80), workers)
    assert read_files(tmp_path / "1") == read_files(tmp_path / "3")


def test_images_of_another_size_are_refused_or_resized(images, tmp_path):
    grey = np.tile(np.arange(92, dtype=np.uint8) * 2, (112, 1))
    cv2.imwrite(str(images / "s2" / "grey.pgm"), grey)
    with pytest.raises(UserError, match=r"grey.pgm: is 112×92 .* align the images first"):
        pack_images(str(images), str(tmp_path / "set"), PackOptions())
    sides = {}
    for fit in ("pad", "stretch"):
        pack_images(str(images), str(tmp_path / fit), PackOptions(fit=fit))
        image = list(RecordIndex.open(str(tmp_path / fit)).images())[5][2]
        sides[fit] = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_allclose(sides["pad"][:, 10:102], grey, atol=4)
    np.testing.assert_allclose(sides["pad"][:, :10], 0, atol=4)
    np.testing.assert_allclose(sides["stretch"][56], np.linspace(0, 182, 112), atol=4)


def test_quality_encodes_again(images, tmp_path):
    sizes = []
    for quality in (30, 95):
        pack_images(str(images), str(tmp_path / str(quality)), PackOptions(quality=quality))
        sizes.append(os.path.getsize(tmp_path / str(quality) / "train.rec"))
    assert sizes[0] < 0.7 * sizes[1]


def test_small_identities_are_left_out_and_others_held_out(tmp_path):
    for identity in range(12):
        folder = tmp_path / "images" / (f"p{identity}")
        folder.mkdir(parents=True)
        for number in range(1 if identity == 5 else 4):
            (folder / (f"{number}.jpg")).write_bytes(jpeg(10 * identity + number))
    summary = pack_images(str(tmp_path / "images"), str(tmp_path / "set"), PackOptions(min_images=2, held_out=4))
    assert summary["identities_left_out"] == ["p5"] and summary["identities"] == 7
    index = RecordIndex.open(str(tmp_path / "set"))
    pairs = read_pairs(str(tmp_path / "set" / "held_out.bin"))
    assert len(pairs) == 2 * 20 and pairs.same.sum() == 20  # 4 identities × 6 pairs, rounded down to a multiple of ten
    assert not {image for _, _, image in index.images()} & set(pairs.images())
    assert len(read_bytes(str(tmp_path / "set" / "held_out.txt")).split()) == 4
    again = pack_images(str(tmp_path / "images"), str(tmp_path / "again"), PackOptions(min_images=2, held_out=4))
    assert read_files(tmp_path / "set") == read_files(tmp_path / "again") and again == summary
    pack_images(str(tmp_path / "images"), str(tmp_path / "other"), PackOptions(min_images=2, held_out=0.34, seed=1))
    assert read_bytes(str(tmp_path / "other" / "held_out.txt")) != read_bytes(str(tmp_path / "set" / "held_out.txt"))


def test_identities_that_share_an_image_are_not_held_out(tmp_path, capsys):
    """7 of 17 held-out images were in the training set, because a folder was there under two names."""
    for identity in range(6):
        for number in range(3):
            path = tmp_path / "images" / f"p{identity}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(10 * identity + number))
    (tmp_path / "images" / "p4" / "copy.jpg").write_bytes(jpeg(1))
    (tmp_path / "images" / "p5" / "copy.jpg").write_bytes(jpeg(50))
    shared = [str(tmp_path / "images" / "p0" / "1.jpg"), str(tmp_path / "images" / "p4" / "copy.jpg")]
    for seed in range(3):
        out = str(tmp_path / f"set{seed}")
        summary = pack_images(str(tmp_path / "images"), out, PackOptions(held_out=4, seed=seed))
        assert summary["images_of_several_identities"] == [shared]
        assert read_bytes(out + "/held_out.txt").split() == [b"p1", b"p2", b"p3", b"p5"]
        pairs = read_pairs(out + "/held_out.bin")
        assert pairs.num_images <= 12 and not (pairs.left == pairs.right).any()
    with pytest.raises(UserError, match="only 4 identities have two or more images and share none"):
        pack_images(str(tmp_path / "images"), str(tmp_path / "none"), PackOptions(held_out=5))
    assert main(["data", "pack", str(tmp_path / "images"), str(tmp_path / "shown")]) == 0
    assert f"1 images occur under several identities, which are therefore not held out\n    {' = '.join(shared)}" in (
        capsys.readouterr().out
    )


def test_names_cannot_break_the_lists(tmp_path):
    for name in ("a\tb", "c\nd", "latin-\udce9", "\x1b[31mred"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "1.jpg").write_bytes(jpeg(len(name)))
    pack_images(str(tmp_path / "images"), str(tmp_path / "set"), PackOptions())
    names = read_bytes(str(tmp_path / "set" / "names.txt")).decode("ascii").splitlines()
    assert sorted(line.split("\t")[1] for line in names) == ["\\x1b[31mred", "a\\tb", "c\\nd", "latin-\\udce9"]
    assert main(["data", "unpack", str(tmp_path / "set"), str(tmp_path / "again")]) == 0


def test_bad_images_are_refused_or_listed(images, tmp_path):
    (images / "s2" / "10.jpg").write_bytes(jpeg(1)[:-400])
    (images / "s10" / "9.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"10.jpg: cannot be decoded as an image \(and 1 more images\)"):
        pack_images(str(images), str(tmp_path / "set"), PackOptions())
    assert os.listdir(tmp_path) == ["images"]
    summary = pack_images(str(images), str(tmp_path / "set"), PackOptions(leave_out_bad=True))
    assert len(summary["images_left_out"]) == 2 and (summary["images"], summary["identities"]) == (4, 2)
    assert RecordIndex.open(str(tmp_path / "set")).num_classes == 2
    assert json.loads(read_bytes(str(tmp_path / "set" / "pack.json"))) == summary
    for path in images.glob("*/*"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="none of the images can be used"):
        pack_images(str(images), str(tmp_path / "none"), PackOptions(leave_out_bad=True))


def encode_and_crash(options, paths):
    """What the child process does here: it dies of one image."""
    if any(path.endswith("s2/10.jpg") for path in paths):
        os.kill(os.getpid(), signal.SIGSEGV)
    return encode_images(options, paths)


@pytest.mark.slow
def test_images_that_crash_or_are_refused_are_named(images, tmp_path, monkeypatch):
    (images / "s1" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    (images / "s1" / "killer.png").write_bytes(animated_png())
    os.mkfifo(images / "s1" / "pipe.jpg")
    monkeypatch.setattr(pack_module, "encode_images", encode_and_crash)
    summary = pack_images(str(images), str(tmp_path / "set"), PackOptions(leave_out_bad=True))
    assert [error.partition(str(images))[2] for error in summary["images_left_out"]] == [
        "/s1/IMG_1.HEIC: is HEIC, which is not read; convert it to JPEG or PNG",
        "/s1/killer.png: is an animated PNG, which is not read; save one frame of it",
        "/s1/pipe.jpg: is no regular file",
        "/s2/10.jpg: cannot be decoded as an image: the decoder crashed (SIGSEGV)",
    ]
    assert summary["images"] == 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk is full")])
def test_interrupted_run_leaves_nothing(images, tmp_path, monkeypatch, error):
    real, calls = RecordWriter.add, []

    def stop(writer, label, image):
        calls.append(label)
        if len(calls) == 4:
            raise error
        return real(writer, label, image)

    monkeypatch.setattr(RecordWriter, "add", stop)
    with pytest.raises((KeyboardInterrupt, OSError)):
        pack_images(str(images), str(tmp_path / "set"), PackOptions())
    assert os.listdir(tmp_path) == ["images"]


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
def test_impossible_options_are_refused(images, tmp_path, options):
    with pytest.raises(UserError):
        pack_images(str(images), str(tmp_path / "set"), options)
    assert os.listdir(tmp_path) == ["images"]


def test_pack_and_unpack_commands(images, tmp_path, capsys):
    out = str(tmp_path / "set")
    assert main(["data", "pack", str(images), out]) == 0
    assert "6 images of 3 identities" in capsys.readouterr().out
    assert main(["data", "pack", str(images), out]) == 2
    assert main(["data", "pack", str(images), out + "2", "--size", "112"]) == 2
    assert main(["data", "unpack", out, str(tmp_path / "again")]) == 0
    assert main(["data", "check", out]) == 0


def test_every_written_file_is_in_the_manifest(images, tmp_path):
    out = str(tmp_path / "set")
    pack_images(str(images), out, PackOptions())
    outcome = compare_contents(out)
    assert set(outcome) == set(os.listdir(out)) - {"SHA256SUMS"} and not any(outcome.values())
