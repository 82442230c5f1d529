"""Tables of text: aligned for the terminal, or Markdown. A leaf: every folder may import it."""

from __future__ import annotations

from typing import Sequence

Rows = Sequence[Sequence[str]]


def text_table(rows: Rows) -> str:
    """Columns that line up, two spaces apart."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def markdown_table(rows: Rows) -> str:
    """Header row first."""
    lines = [list(rows[0]), ["---"] * len(rows[0])] + [list(row) for row in rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
