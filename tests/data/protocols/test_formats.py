"""Published protocols are read in the order of their folds, and other files are refused."""

from __future__ import annotations

import pytest

from arcface_mx.cli.data.pairs import KINDS
from arcface_mx.data.protocols.formats import READERS, ImagePair, read_protocol
from arcface_mx.util.errors import UserError
from tests.support.protocols import LFW, write_text


def test_lfw_is_read(tmp_path):
    pairs = read_protocol("lfw", write_text(tmp_path / "pairs.txt", LFW))
    assert [pair.same for pair in pairs] == [True, True, False, False] * 2
    assert pairs[0] == ImagePair("Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee/Ann_Lee_0003.jpg", True)
    assert pairs[2] == ImagePair("Ann_Lee/Ann_Lee_0001.jpg", "Bo/Bo_0012.jpg", False)
    development = "2\nBo\t1\t2\nCy\t1\t2\nBo\t1\tCy\t1\nBo\t2\tCy\t2\n"
    assert len(read_protocol("lfw", write_text(tmp_path / "dev.txt", development))) == 4


def test_cfp_is_read(tmp_path):
    for letter, kind in (("F", "frontal"), ("P", "profile")):
        lines = [f"{2 * p + k} ../Data/Images/{p + 1:03d}/{kind}/{k:02d}.jpg" for p in range(3) for k in (1, 2)]
        write_text(tmp_path / "Protocol" / (f"Pair_list_{letter}.txt"), "\n".join(lines) + "\n")
    for fold in ("01", "02"):
        for name, text in (("same.txt", "1,2\n5,6\n"), ("diff.txt", "1,3\n4, 6\n")):
            write_text(tmp_path / "Protocol" / "Split" / "FP" / fold / name, text)
            write_text(tmp_path / "Protocol" / "Split" / "FF" / fold / name, text)
    profile = read_protocol("cfp-fp", str(tmp_path / "Protocol"))
    assert profile[0] == ImagePair("001/frontal/01.jpg", "001/profile/02.jpg", True)
    assert profile[3] == ImagePair("002/frontal/02.jpg", "003/profile/02.jpg", False)
    assert [pair.same for pair in profile] == [True, True, False, False] * 2
    assert read_protocol("cfp-ff", str(tmp_path / "Protocol"))[0].second == "001/frontal/02.jpg"
    write_text(tmp_path / "Protocol" / "Split" / "FP" / "02" / "diff.txt", "1,3\n4,7\n")
    with pytest.raises(UserError, match=r"02/diff.txt: line 2 is '4,7'"):
        read_protocol("cfp-fp", str(tmp_path / "Protocol"))


@pytest.mark.parametrize("separator", [" ", "\t", ", "])
def test_list_is_read(tmp_path, separator):
    lines = [f"a/{k}.jpg b/{k}.jpg {k % 2}" for k in range(20)]
    pairs = read_protocol("list", write_text(tmp_path / "list.txt", "\n".join(lines).replace(" ", separator)))
    assert pairs == [ImagePair(f"a/{k}.jpg", f"b/{k}.jpg", bool(k % 2)) for k in range(20)]


def test_list_with_all_same_pairs_first_is_spread_over_the_folds(tmp_path):
    lines = [f"a/{k}.jpg b/{k}.jpg {int(k < 30)}" for k in range(60)]
    pairs = read_protocol("list", write_text(tmp_path / "list.txt", "\n".join(lines)))
    assert sorted(pairs) == sorted(ImagePair(f"a/{k}.jpg", f"b/{k}.jpg", k < 30) for k in range(60))
    for fold in range(10):
        numbers = [int(pair.first[2:-4]) for pair in pairs[6 * fold : 6 * fold + 6]]
        assert numbers == [3 * fold, 3 * fold + 1, 3 * fold + 2, 30 + 3 * fold, 31 + 3 * fold, 32 + 3 * fold]


def test_two_lines_are_read(tmp_path):
    text = "".join(f"Ann Lee_{k:04d}.jpg {(k // 2) % 3}\n" for k in range(1, 41))
    with pytest.raises(UserError, match="line 2 .* expected the same flag"):
        read_protocol("two-lines", write_text(tmp_path / "pairs.txt", text))
    text = "".join(f"Ann Lee_{k:04d}.jpg {(k // 2) % 3}\n" for k in range(80))
    pairs = read_protocol("two-lines", write_text(tmp_path / "pairs.txt", text))
    assert pairs[1] == ImagePair("Ann Lee_0002.jpg", "Ann Lee_0003.jpg", True)
    assert [pair.same for pair in pairs] == [k % 3 > 0 for k in range(40)]
    with pytest.raises(UserError, match="has 79 lines; two lines make a pair"):
        read_protocol("two-lines", write_text(tmp_path / "pairs.txt", text[: text.rindex("Ann")]))


@pytest.mark.parametrize(
    "kind, text, message",
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
def test_other_files_are_refused(tmp_path, kind, text, message):
    with pytest.raises(UserError, match=message):
        read_protocol(kind, write_text(tmp_path / "file.txt", text))
    with pytest.raises(UserError, match="cannot be read"):
        read_protocol(kind, str(tmp_path / "nowhere"))


def test_command_knows_every_kind():
    assert set(KINDS) == set(READERS)
