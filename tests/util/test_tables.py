"""Tables: columns line up, numbers stand on the right, Markdown stays Markdown."""

from __future__ import annotations

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


def test_a_header_alone_is_a_table():
    assert text_table([["a", "b"]]) == "a  b"
    assert markdown_table([["a", "b"]]).splitlines() == ["| a   | b   |", "| --- | --- |"]
