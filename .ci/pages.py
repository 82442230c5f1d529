"""Hooks of mkdocs: the Markdown pages beside the code as one site, and an API page for each folder of the package."""

from __future__ import annotations

import pathlib
import re
import subprocess
from typing import Any, List

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
FOLDERS = ("arcface_mx", "data", "symbols")
API = "# {name}\n\n::: {name}\n"
# `train` and `verify` are packages that can be called, so their functions are named by their modules.
FRONT_DOOR = """# arcface_mx

::: arcface_mx
    options:
      members: [load, Faces, DetectedFace]

::: arcface_mx.train.api

::: arcface_mx.verify.api
"""


def packages() -> List[str]:
    """Return the packages that state their public names."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*/__init__.py"))]
    named = [path for path in files if "__all__ = " in path.read_text(encoding="utf-8")]
    names = [".".join(path.parent.relative_to(ROOT).parts) for path in named]
    return ["arcface_mx", *(name if name.startswith("arcface_mx") else "arcface_mx." + name for name in names)]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the API pages to the navigation."""
    assert config.nav is not None
    config.nav.append({"API": [{name.replace("arcface_mx.", ""): f"api/{name}.md"} for name in packages()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages in git, the files that they link to, and the API pages."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    pages = [ROOT / name for name in listed.stdout.splitlines()]
    found = {page for page in pages if page.exists()}
    for page in list(found):
        for match in LINK.finditer(page.read_text(encoding="utf-8")):
            target = (page.parent / match.group(3)).resolve()
            if target.is_file():
                found.add(target)
    for path in sorted(found):
        files.append(File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path)))
    for name in packages():
        text = FRONT_DOOR if name == "arcface_mx" else API.format(name=name)
        files.append(File.generated(config, f"api/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to a folder to its page; without one only the text of the link stays."""
    folder = (ROOT / page.file.src_uri).parent

    def to_page(match: re.Match[str]) -> str:
        target = folder / match.group(3)
        if not target.is_dir():
            return match.group(0)
        path = match.group(3).rstrip("/")
        return f"[{match.group(2)}]({path}/README.md)" if (target / "README.md").exists() else match.group(2)

    return LINK.sub(to_page, markdown)
