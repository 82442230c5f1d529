"""Mutation testing: do the tests notice plausible bugs?

    python -m tests.mutate                    all bugs of tests/mutants
    python -m tests.mutate --only reader      those of one subject
    python -m tests.mutate --list             print them

Each bug is put into a copy of the working tree, never into the tree itself. Its tests run with `-x`: first those
that are not marked as slow, then the slow ones if these pass. The bug is killed if a test fails. The same tests must
pass on the copy without the bug.

Results are kept in --results, a line for each bug, so that an interrupted run continues. A bug is not run again while
its entry and the file that has it are unchanged, and, if it survived, its tests too. The exit code is 1 if a bug
survives for which the list gives no reason.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import queue
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Dict, Iterable, List, Tuple

from arcface_mx.util.tables import markdown_table, text_table
from tests.mutants import Mutant, read_mutants

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "recipes" / "results" / "mutation.jsonl"
KILLED, SURVIVED = ("failed", "timeout"), "survived"
FAST, SLOW = "not slow", "slow"
PASSED, FAILED, NOTHING_CHOSEN = (0,), (1, 2), (5,)  # exit codes of pytest


def misfit(mutant: Mutant, tree: pathlib.Path) -> str:
    """Return why the bug cannot be tested in this tree: its text stands there not once, or a test is missing."""
    path = tree / mutant.file
    count = path.read_text(encoding="utf-8").count(mutant.old) if path.is_file() else 0
    missing = [name for name in files_of(mutant.tests) if not (tree / name).is_file()]
    if count == 1 and not missing:
        return ""
    problem = f"there is no {missing[0]}" if missing else f"{mutant.file} has {mutant.old!r} {count} times, not once"
    return f"{mutant.subject}: {mutant.what}: {problem}"


def files_of(tests: Iterable[str]) -> List[str]:
    """Return the files among arguments of pytest, which may name single tests."""
    return [test.partition("::")[0] for test in tests if ".py" in test]


def _sha(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def checksums(mutant: Mutant, tree: pathlib.Path) -> Tuple[str, str]:
    """Return a checksum of the bug and the file that has it, and one of the files with its tests."""
    code = [mutant.file, mutant.old, mutant.new, *mutant.tests, (tree / mutant.file).read_text(encoding="utf-8")]
    return _sha(code), _sha((tree / name).read_text(encoding="utf-8") for name in files_of(mutant.tests))


def copy_tree(tree: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Copy what git knows or does not ignore; return the folder of the copy."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=tree, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0")
    for name in filter(None, names):
        if os.path.lexists(tree / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, folder / name, follow_symlinks=False)
    return folder


def write(path: pathlib.Path, text: str) -> None:
    """Write a module, and remove its bytecode: Python compares only seconds and size."""
    path.write_text(text, encoding="utf-8")
    for compiled in (path.parent / "__pycache__").glob(path.stem + ".*"):
        compiled.unlink()


class Copy:
    """A copy of the tree, in which one bug at a time is tested."""

    def __init__(self, tree: pathlib.Path, folder: pathlib.Path, seconds: float) -> None:
        self.tree, self._seconds = copy_tree(tree, folder / "tree"), seconds
        self._temporary = folder / "tmp"
        self._temporary.mkdir()
        self._sound: Dict[Tuple[Tuple[str, ...], str], Tuple[str, str]] = {}
        environment = dict(os.environ, PYTHONPATH=f"{self.tree}{os.pathsep}{ROOT}", TMPDIR=str(self._temporary))
        environment.setdefault("OMP_NUM_THREADS", "1")
        # The server is that of this project; the tree may be another one.
        command = [sys.executable, str(ROOT / "tests" / "mutants" / "fork_server.py")]
        self._server = subprocess.Popen(
            command, cwd=self.tree, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    def close(self) -> None:
        """End the server."""
        self._server.communicate()

    def pytest(self, tests: Tuple[str, ...], marker: str) -> Tuple[str, str]:
        """Run tests; return "passed", "failed" or "timeout", and the first test that failed."""
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir()
        output = self._temporary / "output.txt"
        arguments = ["-x", "-q", "-m", marker, "-p", "no:cacheprovider", "-rfE", "--tb=no", "--durations=0", *tests]
        self._server.stdin.write(json.dumps([arguments, str(output)]).encode() + b"\n")
        child = int(self._server.stdout.readline())
        ended = select.select([self._server.stdout], [], [], self._seconds)[0]
        _kill_group(child)
        code = int(self._server.stdout.readline())
        if not ended:
            return "timeout", ""
        if code in PASSED + NOTHING_CHOSEN:
            return "passed", ""
        text = output.read_text(encoding="utf-8", errors="replace")
        if code not in FAILED and code > 0:
            sys.exit(f"pytest cannot run {' '.join(tests)}:\n{text[-2000:]}")
        lines = [line.split(" ")[1] for line in text.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        return "failed", (lines or ["the process died"])[0]

    def check_sound(self, tests: Tuple[str, ...], marker: str) -> None:
        """Raise SystemExit if the tests do not pass without a bug."""
        if (tests, marker) not in self._sound:
            self._sound[tests, marker] = self.pytest(tests, marker)
        result, by = self._sound[tests, marker]
        if result != "passed":
            sys.exit(f"{' '.join(tests)}: without any bug: {result} {by}")

    def test(self, mutant: Mutant) -> Dict[str, str]:
        """Return the result of one bug, and the test that noticed it."""
        path = self.tree / mutant.file
        sound = path.read_text(encoding="utf-8")
        for marker in (FAST, SLOW):
            try:
                write(path, sound.replace(mutant.old, mutant.new))
                result, by = self.pytest(mutant.tests, marker)
            finally:
                write(path, sound)
            if result in KILLED:
                self.check_sound(mutant.tests, marker)
                return {"result": result, "by": by}
        return {"result": SURVIVED, "by": ""}


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def read_results(path: pathlib.Path) -> Dict[str, Dict[str, str]]:
    """Return {checksum of a bug: result} of a file of results; a torn last line is passed over."""
    results = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        results[entry["code"]] = entry
    return results


def known(mutants: List[Mutant], tree: pathlib.Path, results: pathlib.Path) -> Dict[Mutant, Dict[str, str]]:
    """Return the results that still hold."""
    stored, found = read_results(results), {}
    for mutant in mutants:
        code, tests = checksums(mutant, tree)
        entry = stored.get(code)
        if entry and (entry["result"] in KILLED or entry["tests"] == tests):
            found[mutant] = entry
    return found


def run(mutants: List[Mutant], tree: pathlib.Path, results: pathlib.Path, jobs: int, seconds: float) -> None:
    """Test bugs, and append their results to the file."""
    with tempfile.TemporaryDirectory(prefix="arcface-mx-mutate-") as folder, open(results, "a") as stream:
        copies: queue.Queue[Copy] = queue.Queue()
        for job in range(min(jobs, len(mutants))):
            copies.put(Copy(tree, pathlib.Path(folder, str(job)), seconds))

        def test(mutant: Mutant) -> None:
            copy, start = copies.get(), time.monotonic()
            try:
                code, tests = checksums(mutant, copy.tree)
                result = copy.test(mutant)
            finally:
                copies.put(copy)
            names = {"subject": mutant.subject, "file": mutant.file, "what": mutant.what}
            stream.write(json.dumps({**names, **result, "code": code, "tests": tests}, ensure_ascii=False) + "\n")
            stream.flush()
            shown = f"{time.monotonic() - start:6.1f} s  {result['result']:8}  {mutant.subject}: {mutant.what}"
            print(shown, flush=True)

        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            tasks = [pool.submit(test, mutant) for mutant in mutants]
            try:
                for task in tasks:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
        while not copies.empty():
            copies.get().close()


def report(mutants: List[Mutant], tree: pathlib.Path, results: pathlib.Path) -> Tuple[str, List[Mutant]]:
    """Return the page of results, and the survivors without a reason."""
    found = known(mutants, tree, results)
    rows = [["subject", "bugs", "tested", "killed"]]
    for subject in [*dict.fromkeys(mutant.subject for mutant in mutants), "all"]:
        listed = [mutant for mutant in mutants if subject in (mutant.subject, "all")]
        tested = [found[mutant]["result"] in KILLED for mutant in listed if mutant in found]
        rows.append([subject.replace("_", " "), str(len(listed)), str(len(tested)), str(sum(tested))])
    tested, killed = (int(cell) for cell in rows[-1][2:])
    survivors = [mutant for mutant, entry in found.items() if entry["result"] == SURVIVED]
    page = [
        "# Mutation testing",
        "`python -m tests.mutate` puts each bug of `tests/mutants` into a copy of the project and runs the tests that "
        f"should notice it. {tested} of the {len(mutants)} bugs were tested with today's code, and the tests notice "
        f"{killed} of these ({100 * killed / max(tested, 1):.1f} %). "
        "`mutation.jsonl` has each bug that was tested, with the first test that failed.",
        markdown_table(rows),
        "## Bugs that no test notices",
        "\n".join(f"- {mutant.file}: {mutant.what}. {mutant.reason or 'No reason is known.'}" for mutant in survivors)
        or "None.",
    ]
    print(text_table(rows))
    return "\n\n".join(page) + "\n", [mutant for mutant in survivors if not mutant.reason]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="SUBJECT", help="a subject, the name of a file of tests/mutants")
    parser.add_argument("--jobs", type=int, default=1, help="bugs that are tested at a time, each in its own copy")
    parser.add_argument("--seconds", type=float, default=600, help="time limit of one run of pytest")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="file of results, default %(default)s")
    parser.add_argument("--again", action="store_true", help="run every bug again")
    parser.add_argument("--report", action="store_true", help="count the results that are there, and run nothing")
    parser.add_argument("--list", action="store_true", help="print the bugs and run nothing")
    args = parser.parse_args()
    every = read_mutants()
    mutants = [mutant for mutant in every if args.only in (None, mutant.subject)]
    if not mutants:
        sys.exit(f"--only {args.only}: the subjects are {', '.join(sorted({mutant.subject for mutant in every}))}")
    misfits = list(filter(None, (misfit(mutant, ROOT) for mutant in mutants)))
    if misfits:
        sys.exit("\n".join(misfits))
    if args.list:
        print("\n".join(f"{mutant.subject}: {mutant.file}: {mutant.what}" for mutant in mutants))
        return 0
    done = {} if args.again else known(mutants, ROOT, args.results)
    if not args.report:
        run([mutant for mutant in mutants if mutant not in done], ROOT, args.results, args.jobs, args.seconds)
    page, unexplained = report(mutants, ROOT, args.results)
    if not args.only:
        _keep(every, args.results)
        args.results.with_suffix(".md").write_text(page, encoding="utf-8")
    for mutant in unexplained:
        print(f"not noticed: {mutant.subject}: {mutant.file}: {mutant.what}")
    return int(bool(unexplained))


def _keep(mutants: List[Mutant], results: pathlib.Path) -> None:
    """Rewrite the file of results with the bugs of the list, in its order."""
    lines = [json.dumps(entry, ensure_ascii=False) for entry in known(mutants, ROOT, results).values()]
    results.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
