"""report.html is one file without network and scripts, has every section, and fits a phone in a real browser."""

from __future__ import annotations

import html.parser
import json
import os
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.config import from_flat
from arcface_mx.data.bins.read import read_pairs
from arcface_mx.report.page import html_parts
from arcface_mx.report.page.hardest import hardest_pairs
from arcface_mx.report.page.html_parts import Page
from arcface_mx.train.run import train
from tests.support import onnx_files
from tests.support.training import TINY

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TITLES = ["Accuracy", "Training", "Pairs", "Hardest pairs", "Angles", "Thresholds", "Configuration"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_faces, tiny_pairs):
    pytest.importorskip("matplotlib")
    folder = str(tmp_path_factory.mktemp("report") / "a <b> & 'c'")
    train(from_flat(dict(TINY, data=tiny_faces, eval=(tiny_pairs,), run=folder, steps=4, lr_drops=(3,), log_every=1)))
    assert main(["baselines", tiny_faces, tiny_pairs, "--json", os.path.join(folder, "baselines.json")]) == 0
    assert main(["report", folder]) == 0
    return folder


@pytest.fixture(scope="module")
def page(run):
    with open(os.path.join(run, "report.html"), encoding="utf-8") as stream:
        return stream.read()


class Checker(html.parser.HTMLParser):
    """Collects titles, sources and links, and checks that every tag is closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.titles, self.sources, self.links, self.ids, self.alts = [], [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        assert tag not in ("script", "link", "iframe", "object") and not any(name.startswith("on") for name in attrs)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        if tag == "img":
            self.sources.append(attrs["src"])
            self.alts.append(attrs["alt"])
        if "href" in attrs:
            self.links.append(attrs["href"])
        if "id" in attrs:
            self.ids.append(attrs["id"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)


def test_the_page_is_valid_and_needs_no_other_file(page):
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert not checker.open and checker.titles == TITLES
    assert all(source.startswith("data:image/") for source in checker.sources) and all(checker.alts)
    assert len(checker.sources) == 5 + 2 * 16  # plots, and eight hardest pairs of each kind
    assert all(link[0] == "#" and link[1:] in checker.ids for link in checker.links)
    assert "http://" not in page and "https://" not in page and "url(" not in page and "@import" not in page
    assert "a &lt;b&gt; &amp; &#x27;c&#x27;" in page and "<b>" not in page


def test_values_are_those_of_the_run(run, page):
    with open(os.path.join(run, "metrics.json"), encoding="utf-8") as stream:
        result = next(iter(json.load(stream)["sets"].values()))
    assert f"{100 * result['none']['accuracy']:.2f} ± {100 * result['none']['std']:.2f}" in page
    assert "20 same, 20 different pairs" in page and "not measurable with 20 different pairs" in page
    assert "raw pixels" in page and "<td>--image-size</td><td>32</td><td>112</td>" in page
    with open(os.path.join(run, "environment.json"), encoding="utf-8") as stream:
        assert json.load(stream)["data"]["fingerprint"] in page


def test_hardest_pairs_agree_with_sorting(tiny_pairs):
    pairs = read_pairs(tiny_pairs)
    scores = np.random.RandomState(0).uniform(-1, 1, len(pairs))
    images = list(pairs.images())
    same, different = hardest_pairs(pairs, scores, 5)
    expected = sorted((score, k) for k, score in enumerate(scores) if pairs.same[k])[:5]
    assert [(pair.cosine, pair.number) for pair in same] == expected
    expected = sorted(((score, k) for k, score in enumerate(scores) if not pairs.same[k]), reverse=True)[:5]
    assert [(pair.cosine, pair.number) for pair in different] == expected
    for pair in same + different:
        assert (pair.first, pair.second) == (images[pairs.left[pair.number]], images[pairs.right[pair.number]])


@pytest.mark.slow
def test_the_page_and_its_plots_go_where_out_says(run, tmp_path):
    before = {name: os.stat(os.path.join(run, name)).st_mtime_ns for name in os.listdir(run)}
    page = tmp_path / "pages" / "first.html"
    assert main(["report", run, "--out", str(page)]) == 0
    assert "<title>" in page.read_text(encoding="utf-8") and (page.parent / "roc.png").exists()
    assert before == {name: os.stat(os.path.join(run, name)).st_mtime_ns for name in os.listdir(run)}


def test_a_run_that_has_not_finished_is_named(run, tmp_path, capsys):
    folder = str(tmp_path / "run")
    shutil.copytree(run, folder)
    os.unlink(os.path.join(folder, "metrics.json"))
    assert main(["report", folder]) == 2
    assert "has the run finished?" in capsys.readouterr().err


# Added to a copy of the page: it sends what was laid out to the page around it.
PROBE = """<script>addEventListener("load", () => parent.postMessage([innerWidth, document.documentElement.scrollWidth,
[...document.images].filter(image => image.naturalWidth > 0).length].join(" "), "*"))</script></body>"""
# A browser window is at least 500 pixels wide, but a frame can be narrower.
FRAME = """<body style="margin:0"><script>addEventListener("message", event => document.title = event.data)</script>
<iframe width="%d" height="2000" style="border:0" src="page.html"></iframe></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_shows_it_without_scrolling_sideways(page, tmp_path, width):
    (tmp_path / "page.html").write_text(page.replace("</body>", PROBE), encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME % width, encoding="utf-8")
    screenshot, target = str(tmp_path / "page.png"), f"file://{tmp_path / 'frame.html'}"
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,2000"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000"]
    command = [BROWSER] + flags + ["--dump-dom", f"--screenshot={screenshot}", target]
    browser = subprocess.run(command, capture_output=True, text=True, timeout=120)
    inner, scrolled, images = map(int, re.search(r"<title>(\d+) (\d+) (\d+)</title>", browser.stdout).groups())
    assert inner == width and scrolled <= width and images == 37
    drawn = cv2.imread(screenshot)[:, :width]
    assert drawn.std() > 10 and (drawn[:, -5:] == 255).all()  # something is shown, and nothing at the right edge


def test_names_of_strangers_stay_text():
    page = Page("run \udce9 \x1b[2J <script>", "a & b")
    page.add("Title <b>", html_parts.table([["<i>", "x\x00"], ['"', "\u202e"]]), html_parts.preformatted("a\nb"))
    text = page.render()
    text.encode("utf-8")
    assert "run \\udce9 \\x1b[2J &lt;script&gt;" in text and "<script>" not in text and "<b>" not in text
    assert "x\\x00" in text and "\\u202e" in text and "a\nb" in text


@pytest.mark.slow
def test_a_model_that_is_not_a_run_has_a_page_of_its_own(tiny_pairs, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("onnxruntime")
    nodes, arrays = onnx_files.projection(size=32)
    path = onnx_files.save(tmp_path / "net.onnx", onnx_files.model(nodes, arrays, shape=("n", 3, 32, 32)))
    assert main(["verify", path, tiny_pairs, "--input", "rgb", "--json", str(tmp_path / "a.json")]) == 0
    accuracy = json.loads((tmp_path / "a.json").read_text())[0]["none"]["accuracy"]
    assert main(["report", path, "--input", "rgb"]) == 2
    assert "--eval is missing" in capsys.readouterr().err
    assert main(["report", path, "--eval", tiny_pairs, "--input", "rgb"]) == 0
    page = (tmp_path / "net.onnx-report.html").read_text(encoding="utf-8")
    assert f"{100 * accuracy:.2f}" in page and "Hardest pairs" in page and "Thresholds" in page
    assert page.count("data:image/png") >= 3 and "Configuration" not in page and "input rgb,0,1" in page
