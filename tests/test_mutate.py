"""`python -m tests.mutate` finds out whether tests notice a bug, in a small tree of its own."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests import mutate
from tests.mutants import read_mutants

SUM = "def add(a, b):\n    return a + b\n\n\ndef sign(a):\n    return 1 if a > 0 else -1\n"
TESTS = """
import pytest
import lib


def test_add():
    assert lib.add(2, 3) == 5


@pytest.mark.slow
def test_sign():
    assert lib.sign(2) == 1 and lib.sign(-2) == -1
"""
BUGS = """
# a comment
@ lib.py | test_lib.py
: a difference
- return a + b
+ return a - b
: the sign is lost
- 1 if a > 0 else -1
+ 1
: zero is positive
- a > 0
+ a >= 0
= Zero has no sign here.
"""


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    folder.mkdir()
    files = {"lib.py": SUM, "test_lib.py": TESTS, "pytest.ini": "[pytest]\nmarkers = slow\n", "sums.txt": BUGS}
    for name, text in files.items():
        (folder / name).write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def results(tree, mutants):
    mutate.run(mutants, tree, tree.parent / "results.jsonl", 1, 60.0)
    return {mutant.what: entry["result"] for mutant, entry in known(tree).items()}


def known(tree):
    return mutate.known(read_mutants(tree), tree, tree.parent / "results.jsonl")


@pytest.mark.slow
def test_bugs_are_killed_or_survive_and_the_tree_stays_as_it_is(tree):
    mutants = read_mutants(tree)[1:]
    assert results(tree, mutants) == {"the sign is lost": "failed", "zero is positive": "survived"}
    assert (tree / "lib.py").read_text() == SUM
    by = [entry["by"] for entry in known(tree).values()]
    assert by == ["test_lib.py::test_sign", ""]
    page, unexplained = mutate.report(mutants, tree, tree.parent / "results.jsonl")
    assert (
        "2 of the 2 bugs were tested" in page
        and "1 of these (50.0 %)" in page
        and "zero is positive. Zero has no sign here." in page
        and not unexplained
    )


@pytest.mark.slow
def test_tests_that_fail_without_a_bug_prove_nothing(tree):
    (tree / "test_lib.py").write_text(TESTS.replace("== 5", "== 6"))
    with pytest.raises(SystemExit, match="without any bug: failed test_lib.py::test_add"):
        results(tree, read_mutants(tree)[:1])


def test_results_hold_while_the_code_is_the_same_and_of_survivors_while_the_tests_are(tree):
    mutants, lines = read_mutants(tree), []
    for mutant, result in zip(mutants, ("failed", "failed", "survived")):
        code, tests = mutate.checksums(mutant, tree)
        lines.append(json.dumps({"result": result, "code": code, "tests": tests}))
    (tree.parent / "results.jsonl").write_text("\n".join(lines) + '\n{"torn')
    assert list(known(tree)) == mutants
    (tree / "test_lib.py").write_text(TESTS + "# one more test\n")
    assert list(known(tree)) == mutants[:2]
    (tree / "lib.py").write_text(SUM + "# changed\n")
    assert not known(tree)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("- return a + b", "- return a * b", "lib.py has 'return a \\* b' 0 times, not once"),
        ("- return a + b", "- return", "lib.py has 'return' 2 times, not once"),
        ("| test_lib.py", "| test_other.py", "there is no test_other.py"),
    ],
)
def test_an_entry_that_does_not_fit_the_tree_is_named(tree, old, new, message):
    (tree / "sums.txt").write_text(BUGS.replace(old, new))
    assert re.search(message, mutate.misfit(read_mutants(tree)[0], tree))


@pytest.mark.parametrize("old, new", [("+ return a - b", "+ return a + b"), ("@ lib.py", "@"), (": zero", "zero")])
def test_a_list_that_is_not_whole_is_refused(tree, old, new):
    (tree / "sums.txt").write_text(BUGS.replace(old, new))
    with pytest.raises(ValueError, match="sums.txt"):
        read_mutants(tree)


def test_the_list_has_bugs_in_all_subjects():
    mutants = read_mutants()
    assert len(mutants) >= 150 and len(set(mutants)) == len(mutants)
    assert {"commands", "export", "networks", "parallel", "reader", "training"} <= {one.subject for one in mutants}
