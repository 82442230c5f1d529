"""Every `arcface-mx` command and Python example of the pages runs, and links lead somewhere."""

from __future__ import annotations

import pathlib
import re
import shlex
import subprocess

import pytest

from arcface_mx.cli import main

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = ("README.md", "arcface_mx/README.md", "recipes/README.md", "recipes/gpu.md", "recipes/troubleshooting.md")
SHORT = ["--steps", "2", "--lr-drops", "1"]


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def commands(block):
    return [line for line in block.splitlines() if line.startswith("arcface-mx ")]


def blocks_with_commands():
    """(page, block) of all shell blocks that call arcface-mx. `test_tutorial.py` runs those of README."""
    for page in PAGES[1:]:
        for block in re.findall(r"```sh\n(.*?)```", text_of(page), re.S):
            if commands(block):
                yield pytest.param(block, id=f"{page}-{'-'.join(shlex.split(commands(block)[0])[1:3])}")


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks_with_commands())
def test_commands_run_in_order(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in commands(block):
        words = shlex.split(line, comments=True)[1:]
        code = main(words + (SHORT if words[0] == "train" else []))
        assert code in ((0, 1) if words[0] == "doctor" else (0,)), line  # a GPU may be too new for MXNet


def test_readme_is_short():
    assert len(text_of("README.md").splitlines()) <= 150


def test_map_lists_every_folder_and_file():
    page = text_of("arcface_mx/README.md")
    for entry in (ROOT / "arcface_mx").iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            assert re.search(rf"`{entry.name}/?`|\[{entry.name}\]", page), entry.name
        elif entry.suffix == ".py" and not entry.name.startswith("__"):
            assert f"`{entry.name}`" in page, entry.name


def python_block(page, word):
    return next(block for block in re.findall(r"```python\n(.*?)```", text_of(page), re.S) if word in block)


@pytest.mark.slow
def test_python_examples_run(tmp_path, monkeypatch, capsys):
    """Train from arrays of images, and verify."""
    import cv2

    from arcface_mx.data.orl.orl import load_faces

    monkeypatch.chdir(tmp_path)
    crops = [cv2.cvtColor(crop, cv2.COLOR_GRAY2BGR) for identity in load_faces()[:3] for crop in identity[:6]]
    encoded = [(number // 6, cv2.imencode(".png", crop)[1].tobytes()) for number, crop in enumerate(crops)]
    pairs = [(crops[0], crops[k], k < 6) for k in range(1, 11)]
    names = {"images": encoded, "pairs": pairs}
    exec(python_block("arcface_mx/README.md", "am.train"), names)
    assert names["trained"].step == 4 and names["result"].pairs == 10
    assert "StepReport(step=4" in capsys.readouterr().out


def anchors(path):
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def all_pages():
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def test_links_of_all_pages_lead_somewhere():
    broken = []
    for page in all_pages():
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if link.startswith(("http://", "https://")):
                continue
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert not broken


def test_scripts_that_pages_name_exist():
    for page in PAGES:
        for name in re.findall(r"(?:recipes|tests)/[\w.]+\.sh", text_of(page)):
            assert (ROOT / name).exists(), (page, name)
