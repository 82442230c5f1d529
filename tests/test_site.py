"""The documentation builds without a warning, its links lead somewhere, and it needs no network."""

from __future__ import annotations

import html.parser
import os
import pathlib
import subprocess
import sys
import urllib.parse

import pytest

from arcface_mx import symbols

for package in ("mkdocs", "material", "mkdocstrings"):
    pytest.importorskip(package, reason=f"{package} is not installed (extra `docs`)")

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Page(html.parser.HTMLParser):
    """The anchors of a page, its links, and what it loads."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors.update(filter(None, (values.get("id"), values.get("name"))))
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("script", "img", "link", "iframe"):
            self.loaded += filter(None, (values.get("src"), values.get("href")))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site, and its pages by their paths."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return folder, {path: Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}


@pytest.mark.slow
def test_every_link_leads_to_a_page_and_an_anchor(site):
    folder, pages = site
    broken = []
    for path, page in pages.items():
        for link in page.links if path.name != "404.html" else ():
            url = urllib.parse.urlsplit(link)
            if url.scheme:
                continue
            target = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
            target = target / "index.html" if target.is_dir() else target
            anchors = pages[target].anchors if target in pages else {url.fragment}
            if not target.is_file() or (url.fragment and url.fragment not in anchors):
                broken.append(f"{path.relative_to(folder)}: {link}")
    assert not broken


@pytest.mark.slow
def test_the_site_has_all_pages_and_loads_nothing_from_elsewhere(site):
    folder, pages = site
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    for name in listed:
        page = folder / name[: -len(".md")] / "index.html"
        assert page in pages or page.parent.parent / "index.html" in pages, name
    for path, page in pages.items():
        assert not [url for url in page.loaded if urllib.parse.urlsplit(url).netloc], path


@pytest.mark.slow
def test_public_names_have_an_entry_in_the_api_pages(site):
    folder, pages = site
    front = pages[folder / "api" / "arcface_mx" / "index.html"].anchors
    assert {"arcface_mx.load", "arcface_mx.Faces.get", "arcface_mx.train.api.train"} <= front
    assert "arcface_mx.verify.api.verify" in front
    entries = pages[folder / "api" / "arcface_mx.symbols" / "index.html"].anchors
    assert {f"arcface_mx.symbols.{name}" for name in symbols.__all__} <= entries
