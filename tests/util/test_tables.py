"""Tables: columns line up, numbers stand on the right, Markdown stays Markdown."""

from __future__ import annotations

import pytest

from arcface_mx.util.tables import markdown_table, text_table

ROWS = [
    ["row", "runs", "LFW", "note"],
    ["ArcFace (0.5)", "12", "91.00 ± 1.41", "a|b"],
    ["NS", "-", "not run", "7"],
]


def test_columns_line_up_and_columns_of_numbers_are_aligned_to_the_right():
    assert text_table(ROWS).splitlines() == [
        "row            runs           LFW  note",
        "ArcFace (0.5)    12  91.00 ± 1.41  a|b",
        "NS                -       not run  7",
    ]


def test_markdown_is_aligned_in_plain_text_and_escapes_bars():
    assert markdown_table(ROWS).splitlines() == [
        "| row           | runs |          LFW | note |",
        "| ------------- | ---: | -----------: | ---- |",
        "| ArcFace (0.5) |   12 | 91.00 ± 1.41 | a\\|b |",
        "| NS            |    - |      not run | 7    |",
    ]


def test_names_of_strangers_stay_text_in_markdown():
    table = markdown_table([["name"], ["a\nb<img src=x>[c](http://d)`e`\x1b[2J\udce9"]])
    assert table.splitlines()[2] == r"| a\nb\<img src=x>\[c](http://d)\`e\`\x1b\[2J\udce9 |"


@pytest.mark.parametrize("cell", ["12", "-1.5e-3", "99.5 %", "91.00 ± 1.41", "8.5e-02 to 1.2e-01", "3 / 1500", "1,024"])
def test_numbers_are_aligned_to_the_right(cell):
    assert text_table([["name", "a long header"], ["x", cell]]).endswith(f"  {cell:>13}")


@pytest.mark.parametrize("cell", ["9 in records", "112×112", "3 MB", "v1", "2 to 4, median 3"])
def test_texts_are_aligned_to_the_left(cell):
    assert text_table([["name", "a longer header"], ["x", cell]]).endswith(f"x     {cell}")


def test_a_header_alone_is_a_table():
    assert text_table([["a", "b"]]) == "a  b"
    assert markdown_table([["a", "b"]]).splitlines() == ["| a   | b   |", "| --- | --- |"]
