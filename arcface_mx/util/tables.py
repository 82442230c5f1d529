"""Format tables of text, aligned for the terminal or as Markdown."""

from __future__ import annotations

import re
from typing import List, Sequence

from arcface_mx.util.errors import printable

Rows = Sequence[Sequence[str]]

_NUMBER = r"[+\-−]?[\d.,]+(?:e[+\-]?\d+)?"
# "12", "-1.5e-3", "99.5 %", "91.00 ± 1.41", "0.1 to 0.2", "3 / 1500", "91.00 ▲"
NUMERIC = re.compile(rf"{_NUMBER}(?: (?:±|to|/) {_NUMBER})*(?: %)?(?: ▲)?")
_MARKDOWN = re.compile(r"[|<\[`]")  # what would end a cell, or begin HTML, a link, an image or code
NO_NUMBER = ("", "-", "not run")  # what a cell of a column of numbers says when it has no number


def text_table(rows: Rows) -> str:
    """Format a table for the terminal: columns two spaces apart, numbers aligned to the right.

    Parameters
    ----------
    rows : sequence of sequences of str
        The header row first. All rows have the same length.

    Returns
    -------
    str
        One line per row, without a final line break.
    """
    return "\n".join("  ".join(line).rstrip() for line in _aligned(rows, _numeric_columns(rows)))


def markdown_table(rows: Rows) -> str:
    """Format a Markdown table whose columns are also aligned in plain text.

    Parameters
    ----------
    rows : sequence of sequences of str
        The header row first. All rows have the same length.

    Returns
    -------
    str
        One line per row and the line below the header, without a final line break.
    """
    numeric = _numeric_columns(rows)
    rule = ["--:" if right else "---" for right in numeric]  # the shortest rule sets the smallest width
    escaped = [[_MARKDOWN.sub(r"\\\g<0>", printable(cell)) for cell in row] for row in rows]
    header, _, *body = _aligned([escaped[0], rule, *escaped[1:]], numeric)
    rules = ["-" * (len(cell) - 1) + (":" if right else "-") for cell, right in zip(header, numeric)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, rules, *body])


def _numeric_columns(rows: Rows) -> List[bool]:
    """Whether each column, without its header, holds numbers and nothing else."""
    columns = [[cell for cell in column if cell not in NO_NUMBER] for column in zip(*rows[1:])]
    return [bool(column) and all(map(NUMERIC.fullmatch, column)) for column in columns] or [False] * len(rows[0])


def _aligned(rows: Rows, right: Sequence[bool]) -> List[List[str]]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        [cell.rjust(width) if number else cell.ljust(width) for cell, width, number in zip(row, widths, right)]
        for row in rows
    ]
