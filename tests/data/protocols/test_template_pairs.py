"""Lists of template pairs: fast and slow reader agree, and a bad list is refused by file and line."""

from __future__ import annotations

import numpy as np
import pytest

from arcface_mx.data.protocols.template_pairs import _read_lines, _read_numbers, read_template_pairs
from arcface_mx.util.errors import UserError

IDS = np.array(["1", "11065", "7"])  # sorted as text


def put(tmp_path, text):
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    return str(path)


def test_numbers_and_names_give_rows(tmp_path):
    path = put(tmp_path, "1 11065 1\n\n7  1\t0\r\n11065 7 0")
    for pairs in (_read_numbers(path, IDS), _read_lines(path, IDS, "list")):
        assert pairs.first.tolist() == [0, 2, 1] and pairs.second.tolist() == [1, 0, 2]
        assert pairs.same.tolist() == [True, False, False] and pairs.first.dtype == np.int32
    names = np.array(["a/1", "b/2"])
    assert read_template_pairs(put(tmp_path, "# comment\nb/2 a/1 1\n"), names, "list").first.tolist() == [1]


def test_chunks_are_joined(tmp_path, monkeypatch):
    monkeypatch.setattr("arcface_mx.data.protocols.template_pairs.CHUNK", 2)
    pairs = _read_numbers(put(tmp_path, "1 7 1\n7 1 0\n1 11065 0\n7 11065 1\n11065 7 0\n"), IDS)
    assert pairs.first.tolist() == [0, 2, 0, 2, 1] and pairs.same.tolist() == [True, False, False, True, False]


@pytest.mark.parametrize(
    "text, message",
    [
        ("1 7 1\n1 8 0\n9 1 0\n", r"there is no template 8 in tid_mid.txt \(line 2; 2 templates of this list"),
        ("1 7 1\n1 7\n", "line 2 is '1 7'; it must be"),
        ("1 7 1\n1 7 0 5\n", "line 2 is '1 7 0 5'"),
        ("1 7 1 5\n7 1 0 5\n", "line 1 is '1 7 1 5'"),
        ("1 7 2\n", "line 1 is '1 7 2'"),
        ("1 7 -1\n", "line 1 is"),
        ("1 7 x\n", "line 1 is"),
        ("1.5 7 1\n", "there is no template 1.5"),
        ("-7 7 1\n", "there is no template -7"),
        ("99999999999999999999 7 1\n", "there is no template 99999999999999999999"),
        ("1 7 1\n\n7 1 0\n1 7 1\n", "line 4: the pair of line 1 is listed again .1 repeated pairs.; remove it"),
        ("1 7 1\n7 1 0\n7 1 0\n1 7 0\n", "line 4: the pair of line 1 is listed with the other label"),
        ("", "is empty"),
        ("\xff\xfe", "is not a text file"),
    ],
)
def test_bad_lists_are_refused_with_their_line(tmp_path, text, message):
    path = tmp_path / "pairs.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=f"pairs.txt: {message}"):
        read_template_pairs(str(path), IDS, "tid_mid.txt")
    with pytest.raises(UserError, match="none.txt: cannot be read"):
        read_template_pairs(str(tmp_path / "none.txt"), IDS, "tid_mid.txt")


def test_repeated_pairs_are_kept_if_asked_and_only_with_one_label(tmp_path):
    path = put(tmp_path, "1 7 1\n1 7 1\n")
    assert len(read_template_pairs(path, IDS, "list", keep_repeated=True).same) == 2
    with pytest.raises(UserError, match="line 2: the pair of line 1 is listed with the other label"):
        read_template_pairs(put(tmp_path, "1 7 1\n1 7 0\n"), IDS, "list", keep_repeated=True)
