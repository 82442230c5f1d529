"""Parts of a self-contained HTML page: without scripts, network or other files, for phones, screens and print."""

from __future__ import annotations

import base64
import html
from typing import List, Sequence, Tuple

from arcface_mx.util.errors import printable

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
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr));
  gap: 0 1rem; align-items: start; }
@media (max-width: 40rem) { table { font-size: .8rem; } th, td { padding-right: .5rem; } }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); gap: .75rem; }
.pair { background: var(--tint); border-radius: .4rem; padding: .5rem; margin: 0; }
.pair div { display: flex; gap: .25rem; } .pair img { flex: 1; width: 0; height: auto; border-radius: .2rem; }
.pair figcaption { font-size: .85rem; }
summary { cursor: pointer; padding: .4rem 0; font-weight: 600; }
pre { background: var(--tint); padding: .75rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .85rem; border-radius: .4rem; }
@media print { nav { display: none; } details > * { display: block; } figure, .pair { break-inside: avoid; } }
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{subtitle}</p>
<nav>{links}</nav>
</header>
<main>
{sections}
</main>
</body>
</html>
"""


def _escape(text: str) -> str:
    """Text for HTML, also of names with control characters or with bytes that are no valid text."""
    return html.escape("".join(char if char in "\n\t" else printable(char) for char in text))


class Page:
    """A page of sections, with links to them at the top."""

    def __init__(self, title: str, subtitle: str) -> None:
        self._title, self._subtitle = _escape(title), _escape(subtitle)
        self._sections: List[Tuple[str, str]] = []  # titles and HTML

    def add(self, title: str, *parts: str) -> None:
        """Add a section made of HTML parts; without any part there is no section."""
        body = "\n".join(filter(None, parts))
        if body:
            self._sections.append((title, body))

    def render(self) -> str:
        """The page as HTML."""
        links, sections = [], []
        for title, body in self._sections:
            anchor = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
            links.append(f'<a href="#{anchor}">{_escape(title)}</a>')
            sections.append(f'<section id="{anchor}">\n<h2>{_escape(title)}</h2>\n{body}\n</section>')
        return PAGE.format(
            title=self._title,
            subtitle=self._subtitle,
            style=STYLE,
            links=" ".join(links),
            sections="\n".join(sections),
        )


def heading(text: str) -> str:
    """A heading within a section."""
    return f"<h3>{_escape(text)}</h3>"


def paragraph(text: str) -> str:
    """A paragraph; nothing for an empty text."""
    return f"<p>{_escape(text)}</p>" if text else ""


def preformatted(text: str) -> str:
    """Text that keeps its spaces and line breaks, such as a command; nothing for an empty text."""
    return f"<pre>{_escape(text)}</pre>" if text else ""


def details(title: str, body: str) -> str:
    """A title that shows the HTML `body` when it is tapped."""
    return f"<details><summary>{_escape(title)}</summary>{body}</details>"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is the header; a wide table scrolls on its own."""
    head = "".join(f'<th scope="col">{_escape(cell)}</th>' for cell in rows[0])
    cells = ["".join(f"<td>{_escape(cell)}</td>" for cell in row) for row in rows[1:]]
    body = "\n".join(f"<tr>{row}</tr>" for row in cells)
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def image(data: bytes, description: str) -> str:
    """A PNG or JPEG image inside the page."""
    kind = "png" if data[:4] == b"\x89PNG" else "jpeg"
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return f'<img alt="{_escape(description)}" src="{source}">'


def plot(data: bytes, caption: str) -> str:
    """A PNG with its caption."""
    return f"<figure>{image(data, caption)}<figcaption>{_escape(caption)}</figcaption></figure>"


def grid(plots: Sequence[str]) -> str:
    """Plots side by side if there is room."""
    return f'<div class="plots">{"".join(plots)}</div>'


def pair(images: Sequence[str], caption: str) -> str:
    """The two images of a pair side by side, with a caption."""
    return f'<figure class="pair"><div>{"".join(images)}</div><figcaption>{_escape(caption)}</figcaption></figure>'


def pair_grid(pairs: Sequence[str]) -> str:
    """Pairs side by side, as many as there is room for."""
    return f'<div class="pairs">{"".join(pairs)}</div>'
