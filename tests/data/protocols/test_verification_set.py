"""A protocol and its images become a verification set. If an image is missing, no set is written."""

from __future__ import annotations

import os

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.bins.read import read_pairs
from arcface_mx.data.protocols.formats import read_protocol
from arcface_mx.data.protocols.verification_set import find_image, make_verification_set
from arcface_mx.data.recordio.manifest import compare_contents
from arcface_mx.util.errors import UserError
from tests.support.face_sets import jpeg, read_bytes
from tests.support.protocols import LFW, write_images, write_text


def test_set_has_the_images_in_the_order_of_the_protocol(tmp_path):
    protocol = write_text(tmp_path / "pairs.txt", LFW)
    pairs = read_protocol("lfw", protocol)
    images = write_images(tmp_path / "crops", {name for pair in pairs for name in pair[:2]})
    summary = make_verification_set("lfw", protocol, str(tmp_path / "crops"), str(tmp_path / "lfw.bin"))
    assert summary == {"pairs": 8, "same": 4, "different": 4, "images": len(images)}
    assert compare_contents(str(tmp_path)) == {"lfw.bin": ""}
    written = read_pairs(str(tmp_path / "lfw.bin"))
    stored = list(written.images())
    assert written.num_images == len(images)
    for k, pair in enumerate(pairs):
        assert stored[written.left[k]] == images[pair.first]
        assert stored[written.right[k]] == images[pair.second]
    assert written.same.tolist() == [pair.same for pair in pairs]


def test_crops_may_have_another_suffix(tmp_path):
    write_images(tmp_path, ["a/x.png", "b.c/Y.JPG"])
    assert find_image(str(tmp_path), "a/x.jpg") == str(tmp_path / "a" / "x.png")
    assert find_image(str(tmp_path), "a/x") == str(tmp_path / "a" / "x.png")
    assert find_image(str(tmp_path), "b.c/y.jpg") == ""
    assert find_image(str(tmp_path / "a"), "../b.c/Y.JPG") == ""  # never outside of the folder
    assert find_image(str(tmp_path / "a"), "/etc/passwd") == ""


def test_missing_and_broken_images_are_refused(tmp_path):
    protocol = write_text(tmp_path / "pairs.txt", LFW)
    names = {name for pair in read_protocol("lfw", protocol) for name in pair[:2]}
    write_images(tmp_path / "crops", names)
    image = tmp_path / "crops" / "Bo" / "Bo_0012.jpg"
    out, missing = str(tmp_path / "lfw.bin"), str(tmp_path / "missing.txt")

    def message(*missing):
        with pytest.raises(UserError) as info:
            make_verification_set("lfw", protocol, str(tmp_path / "crops"), out, *missing)
        assert not os.path.exists(out)
        return str(info.value)

    image.unlink()
    assert "1 of its images are not below" in message(missing) and read_bytes(missing) == b"Bo/Bo_0012.jpg\n"
    image.write_bytes(b"not an image")
    assert "Bo_0012.jpg: cannot be decoded" in message()
    image.write_bytes(jpeg(0, 96))
    assert "Bo_0012.jpg: is 96×96" in message()
    with pytest.raises(UserError, match="no such folder"):
        make_verification_set("lfw", protocol, str(tmp_path / "nowhere"), out)


YTF = """split_num, pair_num, first_name, second_name, is_same, is_same_bis
2, 1, Bo/0, Bo/3, 1, 1
1, 1, Ann_Lee/0, Ann_Lee/1, 1, 1
1, 2, Ann_Lee/2, Bo/0, 0, 0
"""


def test_ytf_becomes_a_list_of_template_pairs(tmp_path):
    splits = write_text(tmp_path / "splits.txt", YTF)
    for name in ("Ann_Lee/0", "Ann_Lee/1", "Ann_Lee/2", "Bo/0"):
        (tmp_path / "crops" / name).mkdir(parents=True)
    with pytest.raises(UserError, match="1 of its images are not below .*: Bo/3;"):
        make_verification_set("ytf", splits, str(tmp_path / "crops"), str(tmp_path / "out.txt"))
    (tmp_path / "crops" / "Bo" / "3").mkdir()
    assert make_verification_set("ytf", splits, str(tmp_path / "crops"), str(tmp_path / "out.txt"))["pairs"] == 3
    assert (tmp_path / "out.txt").read_text() == "Ann_Lee/0 Ann_Lee/1 1\nAnn_Lee/2 Bo/0 0\nBo/0 Bo/3 1\n"


def test_pairs_command(tmp_path, capsys):
    lines = [f"p/{k}.jpg p/{k + 1}.jpg {k % 2}" for k in range(20)]
    protocol = write_text(tmp_path / "list.txt", "\n".join(lines))
    write_images(tmp_path / "crops", [f"p/{k}.jpg" for k in range(21)])
    out = str(tmp_path / "set.bin")
    assert main(["data", "pairs", "list", protocol, str(tmp_path / "crops"), out]) == 0
    assert "20 pairs (10 same, 10 different) of 21 images" in capsys.readouterr().out
    assert main(["data", "check", out]) == 0
    assert np.asarray(read_pairs(out).same).sum() == 10
