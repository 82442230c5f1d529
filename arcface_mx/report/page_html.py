"""A self-contained HTML page: no script, no network, no file beside it; readable on a phone and printed."""

from __future__ import annotations

import base64
import html
import struct
from typing import Sequence

STYLE = """
:root { color-scheme: light; --line: #d8dce2; --ink: #1c2430; --soft: #5b6674; --tint: #f5f7fa; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem 1rem 3rem; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .5rem; }
p, figcaption { color: var(--soft); margin: .35rem 0; overflow-wrap: anywhere; }
nav { margin: .75rem 0; } nav a { display: inline-block; margin-right: 1rem; padding: .2rem 0; color: #1f4e79; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; } td { max-width: 24rem; overflow-wrap: break-word; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: 0 1rem; align-items: end; }
@media (max-width: 40rem) { .panorama img { max-width: none; height: 13rem; } }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); gap: .75rem; }
.pair { background: var(--tint); border-radius: .4rem; padding: .5rem; margin: 0; }
.pair div { display: flex; gap: .25rem; } .pair img { flex: 1; width: 0; height: auto; border-radius: .2rem; }
.pair figcaption { font-size: .85rem; }
summary { cursor: pointer; padding: .4rem 0; font-weight: 600; }
pre { background: var(--tint); padding: .75rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; border-radius: .4rem; }
@media print { nav { display: none; } details > * { display: block; } figure, .pair { break-inside: avoid; } }
"""


def document(title: str, subtitle: str, sections: Sequence[str], contents: Sequence[str]) -> str:
    """The page. sections: what `section` made; contents: their titles, for the links at the top."""
    links = " ".join(f'<a href="#{_anchor(name)}">{html.escape(name)}</a>' for name in contents)
    head = '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n{}<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n'
        "<header>\n<h1>{}</h1>\n<p>{}</p>\n<nav>{}</nav>\n</header>\n<main>\n{}\n</main>\n</body>\n</html>\n".format(
            head, html.escape(title), STYLE, html.escape(title), html.escape(subtitle), links, "\n".join(sections)
        )
    )


def section(title: str, *parts: str) -> str:
    """A heading and what stands under it."""
    body = "\n".join(part for part in parts if part)
    return f'<section id="{_anchor(title)}">\n<h2>{html.escape(title)}</h2>\n{body}\n</section>'


def paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Header row first; wide tables scroll by themselves."""
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in rows[0])
    body = "\n".join("<tr>{}</tr>".format("".join(f"<td>{html.escape(cell)}</td>" for cell in row)) for row in rows[1:])
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def picture(data: bytes, told: str) -> str:
    """A PNG in the page itself, with its caption; one much wider than high scrolls on a phone."""
    width, height = struct.unpack(">II", data[16:24])
    kind = "wide panorama" if width > 2 * height else "wide"
    return f'<figure><div class="{kind}">{image(data, "png", told)}</div><figcaption>{html.escape(told)}</figcaption></figure>'


def pictures(figures: Sequence[str]) -> str:
    """Figures side by side where there is room."""
    return '<div class="figures">{}</div>'.format("\n".join(figures))


def image(data: bytes, kind: str, told: str) -> str:
    """The image alone, as a data URI."""
    return f'<img alt="{html.escape(told, quote=True)}" src="data:image/{kind};base64,{base64.b64encode(data).decode("ascii")}">'


def pair_grid(pairs: Sequence[Sequence[str]]) -> str:
    """Cells of (the two images, a caption)."""
    cells = [
        f'<figure class="pair"><div>{both}</div><figcaption>{html.escape(text)}</figcaption></figure>'
        for both, text in pairs
    ]
    return '<div class="pairs">{}</div>'.format("\n".join(cells))


def details(title: str, body: str) -> str:
    """What opens on a tap, without script."""
    return f"<details><summary>{html.escape(title)}</summary>{body}</details>"


def preformatted(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"


def _anchor(title: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in title.lower())
