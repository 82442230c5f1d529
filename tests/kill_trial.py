"""Kill commands at random moments, run them again, and compare the end with that of a command that was not killed.

    python -m tests.kill_trial --kills 200 --out FILE.txt

Each command runs in a forked child of this process. SIGKILL comes at a random time, or at a random call
that opens, renames, makes, removes or flushes a file. It ends the command, or the command and all its
children. Then nothing half-written may be visible under a final name, and no process may be left. The same
command runs again, is perhaps killed again, and must end well with the same bytes and without other
files. The exit code is 1 after a fault. tests/support/kill.py kills more kinds of training.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import ctypes
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from typing import Counter, Dict, List, NamedTuple, Optional, Tuple

from tests.support.heading import heading
from tests.support.kill_cases import CASES, Case, contents, faults_after_kill, faults_at_end, make_inputs

MAX_KILLS = 3  # of a command, until it may reach its end
MAX_SECONDS = 300.0  # of a command
MAX_SECONDS_OF_CHILDREN = 120.0  # after the end of their parent, which a child may only notice once it has started
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod")  # audited by Python
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PR_SET_CHILD_SUBREAPER = 36


class End(NamedTuple):
    """How a command ended: its exit code or minus its signal, its seconds, its file system calls, its output."""

    code: int
    seconds: float
    calls: int
    output: str


def run_command(words: Tuple[str, ...], folder: str, death: Tuple[str, float] = ("", 0.0), group: bool = False) -> End:
    """Run a command in a child process, which dies at `death`: ("time", seconds) or ("call", number).

    With `group` its own children are killed too.
    """
    os.makedirs(folder, exist_ok=True)
    log = os.path.join(os.path.dirname(folder), "log.txt")
    receiver, sender = os.pipe()
    start, kind = time.monotonic(), death[0]
    child = os.fork()
    if not child:
        os.close(receiver)
        _be_the_command(words, folder, log, sender, int(death[1]) if kind == "call" else 0)
    os.close(sender)
    late = MAX_SECONDS if kind != "time" else death[1]
    status = _wait(child, late)
    if status is None:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    seconds = time.monotonic() - start
    left = end_children(group)
    with os.fdopen(receiver, "rb") as stream:
        calls = int(stream.read() or 0)
    with open(log, encoding="utf-8", errors="replace") as stream:
        output = stream.read()
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    if kind != "time" and seconds >= MAX_SECONDS:
        output += f"\nnot at its end after {MAX_SECONDS:.0f} s"
    return End(code, seconds, calls, output + "".join(f"\n{line}" for line in left))


def _wait(child: int, seconds: float) -> Optional[int]:
    """Return the status of a child, None if it runs after these seconds."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() > deadline:
            return None
        time.sleep(0.005)


def _be_the_command(words: Tuple[str, ...], folder: str, log: str, sender: int, last_call: int) -> None:
    code = 70
    try:
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        os.chdir(folder)
        os.environ["TMPDIR"] = tempfile.tempdir = os.path.join(os.path.dirname(folder), "tmp")
        calls = _count_calls(os.path.dirname(folder), last_call)
        from arcface_mx.cli import main
        from arcface_mx.faces.embed import embed_to_file

        embed_to_file.__defaults__ = (8,)  # type: ignore[attr-defined]  # images a part, so that there are several
        code = main(list(words))
        from arcface_mx.util.children import close_children

        close_children()
        os.write(sender, str(calls[0]).encode())
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException as error:
        print(f"child: {error!r}", flush=True)
    sys.stdout.flush()
    os._exit(code)


def _count_calls(folder: str, last: int) -> List[int]:
    """Count the calls that change files below `folder`, and die at number `last`."""
    count = [0]

    def one_more() -> None:
        count[0] += 1
        if count[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def note(event: str, arguments: Tuple[object, ...]) -> None:
        changes = event in CHANGES or (event == "open" and int(arguments[2] or 0) & WRITES)  # type: ignore[call-overload]
        if changes and isinstance(arguments[0], str) and os.path.abspath(arguments[0]).startswith(folder):
            one_more()

    real = os.fsync

    def fsync(descriptor: int) -> None:
        one_more()
        real(descriptor)
        one_more()

    os.fsync = fsync  # type: ignore[assignment]
    sys.addaudithook(note)
    return count


def end_children(kill: bool) -> List[str]:
    """Wait for the children of a command that ended, which are this process's now. Return those that stay, in words."""
    deadline = time.monotonic() + MAX_SECONDS_OF_CHILDREN
    left: List[str] = []
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        children = _own_children()
        if not children:
            return left
        is_late = time.monotonic() > deadline
        if is_late and not left:
            left = [f"process left: {_name(pid)}" for pid in children]
        for pid in children if kill or is_late else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _own_children() -> List[int]:
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as stream:
        return list(map(int, stream.read().split()))


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return stream.read().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return str(pid)


class Trial:
    """The kills of one folder: what the commands should leave, and counts."""

    def __init__(self, folder: str, seed: int) -> None:
        self.root, self.chance = folder, random.Random(seed)
        self.counts: Counter[str] = collections.Counter()
        self.faults: List[str] = []
        self.references: Dict[str, Tuple[Dict[str, bytes], End]] = {}
        os.environ["ARCFACE_MX_CACHE"] = os.path.join(folder, "cache")
        self.work, self.scratch = (os.path.join(folder, name) for name in ("work", "tmp"))
        make_inputs(os.path.join(folder, "inputs"), self._prepare)

    def _prepare(self, folder: str, words: List[str]) -> None:
        self._empty()
        end = run_command(tuple(words), folder)
        assert end.code == 0, end.output

    def _empty(self) -> None:
        for folder in (self.work, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
            os.mkdir(folder)

    def reference(self, name: str) -> Tuple[Dict[str, bytes], End]:
        """Return what the command leaves when it is not killed; it must be the same twice."""
        if name not in self.references:
            ends = []
            for _ in range(2):
                self._empty()
                ends.append((run_command(CASES[name].words, self.work), contents(self.work), os.listdir(self.scratch)))
            end, found, scratch = ends[1]
            assert end.code == 0, f"{name}: {end.output}"
            faults = faults_at_end(ends[0][1], found)
            assert not faults and not scratch, f"{name}: without a kill: {faults}, {scratch}"
            self.references[name] = found, end
        return self.references[name]

    def round(self, name: str) -> str:
        """Kill a command up to MAX_KILLS times, let it reach its end, and return a line about it."""
        case, (reference, usual) = CASES[name], self.reference(name)
        self._empty()
        kills, faults = 0, []
        made = [os.path.join(self.work, path) for path in _made(case, reference)]
        is_done = False
        for _ in range(self.chance.randint(1, MAX_KILLS)):
            killed = self._kill(case, reference, usual)
            faults += ["after a kill: " + fault for fault in killed[1]]
            kills += killed[0]
            is_done = case.is_new and all(map(os.path.exists, made))
            if is_done or not killed[0]:
                break
        end = run_command(case.words, self.work)
        if end.code != (2 if is_done else 0) or "Traceback" in end.output or "process left" in end.output:
            faults.append(f"exit code {end.code}: {end.output[-500:]}")
        elif is_done and "already" not in end.output:
            faults.append(f"another refusal: {end.output[-500:]}")
        faults += faults_at_end(contents(self.work), reference)
        faults += [f"{entry} is left over in the folder for temporary files" for entry in os.listdir(self.scratch)]
        self.counts.update(kills=kills, rounds=1, **{"faulty rounds": bool(faults)})
        self.faults += [f"{name}: {fault}" for fault in faults]
        outcome = "; ".join(faults) or "the same bytes"
        return f"{name}: killed {kills} times, {'complete before its end, ' if is_done else ''}{outcome}"

    def _kill(self, case: Case, reference: Dict[str, bytes], usual: End) -> Tuple[bool, List[str]]:
        """Run the command, to be killed; return whether it was, and what is half-written."""
        kind = self.chance.choice(("time", "call")) if usual.calls else "time"  # other processes write for `launch`
        at = self.chance.uniform(0, usual.seconds) if kind == "time" else self.chance.randint(1, usual.calls)
        group = self.chance.random() < 0.5
        end = run_command(case.words, self.work, (kind, at), group)
        faults = [line for line in end.output.splitlines() if line.startswith(("process left", "Traceback"))]
        if end.code == -signal.SIGKILL:
            self.counts.update({f"by {kind}": 1, "with all children": group})
            return True, faults + faults_after_kill(case, contents(self.work), reference)
        if end.code:
            faults.append(f"exit code {end.code}: {end.output[-500:]}")
        return False, faults


def _made(case: Case, reference: Dict[str, bytes]) -> List[str]:
    return list(case.folders) or [name for name in reference if "/" not in name]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="number of kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--only", choices=sorted(CASES), nargs="+", default=list(CASES), help="commands (default: all)")
    parser.add_argument("--out", help="also write what is printed to this file")
    args = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    _import_for_children()
    say = heading("tests.kill_trial", args.out)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="arcface-mx-kill-") as folder:
        trial = Trial(os.path.realpath(folder), args.seed)
        number = 0
        while trial.counts["kills"] < args.kills:
            say(trial.round(args.only[number % len(args.only)]))
            number += 1
    say(", ".join(f"{name} {count}" for name, count in trial.counts.items()) + f"; {time.monotonic() - start:.0f} s")
    return 1 if trial.faults else 0


def _import_for_children() -> None:
    import sklearn.model_selection  # noqa: F401

    import arcface_mx.cli.shared.commands  # noqa: F401
    import arcface_mx.train.run  # noqa: F401


if __name__ == "__main__":
    sys.exit(main())
