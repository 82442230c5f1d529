"""Child processes are labelled, end together, and leave nothing behind; the one that failed is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from arcface_mx.launch import watch
from arcface_mx.launch.hosts import read_hosts
from arcface_mx.launch.launcher import Launch, run
from arcface_mx.launch.processes import describe_exit, start, terminate
from arcface_mx.util.errors import LOST_WORKER_CODE, UserError
from tests.support.launching import alive

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
)


def child(name, code):
    return start(name, [sys.executable, "-c", code], dict(os.environ))


def wait_for(condition, seconds=20.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_each_line_starts_with_the_name(capsys):
    one = child("worker 3", "print('first'); print('second')")
    wait_for(lambda: one.exit_code is not None)
    terminate([one])
    assert capsys.readouterr().out == "[worker 3] first\n[worker 3] second\n"


def test_a_process_that_ignores_sigterm_is_killed(capsys):
    one, two = child("stubborn", STUBBORN), child("good", "import time; print('ready', flush=True); time.sleep(600)")
    seen = []
    wait_for(lambda: seen.append(capsys.readouterr().out) or "".join(seen).count("ready") == 2)
    terminate([one, two], timeout=0.3)
    assert one.exit_code == -signal.SIGKILL and two.exit_code == -signal.SIGTERM


def test_a_grandchild_ends_with_its_parent(capsys):
    code = (
        "import subprocess, sys, time\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(grandchild.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    one, seen = child("parent", code), []
    wait_for(lambda: seen.append(capsys.readouterr().out) or "]" in "".join(seen))
    grandchild = int("".join(seen).split()[-1])
    assert alive(grandchild)
    terminate([one])
    wait_for(lambda: not alive(grandchild))


def test_children_end_when_their_parent_is_killed():
    code = (
        "import os, sys, time\n"
        "from arcface_mx.launch.processes import start\n"
        "one = start('child', [sys.executable, '-c', 'import time; time.sleep(600)'], dict(os.environ))\n"
        "print(one.process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    wait_for(lambda: not alive(pid))


@pytest.mark.parametrize(
    "ends, code, words",
    [
        ({"scheduler": 600, "server 0": 600, "worker 0": 0, "worker 1": 0}, 0, ""),
        ({"scheduler": 600, "server 0": 600, "worker 0": 600, "worker 1": "exit(3)"}, 1, "worker 1 ended with code 3"),
        ({"scheduler": 600, "server 0": 600, "worker 0": 600, "worker 1": "exit(2)"}, 2, "worker 1 ended with code 2"),
        ({"scheduler": 600, "server 0": "kill", "worker 0": 600}, 1, "server 0 was ended by SIGKILL"),
        ({"scheduler": "kill", "server 0": 600, "worker 0": 600}, 1, "scheduler was ended by SIGKILL"),
        ({"scheduler": 0, "server 0": 0, "worker 0": 600}, 1, "scheduler ended with code 0"),
        ({"worker 0": "lost", "worker 1": "kill, later"}, 1, "worker 1 was ended by SIGKILL"),
        ({"worker 0": "lost", "worker 1": "exit(2), later", "worker 2": "lost"}, 2, "worker 1 ended with code 2"),
        ({"worker 0": 600, "worker 1": "lost"}, 1, "worker 1 ended with code 75"),
    ],
)
def test_the_process_that_failed_first_is_named(monkeypatch, caplog, ends, code, words):
    monkeypatch.setattr(watch, "END_TIMEOUT", 0.5)
    monkeypatch.setattr(watch, "CULPRIT_TIMEOUT", 3.0)
    actions = {
        "kill": "import os; os.kill(os.getpid(), 9)",
        "exit(3)": "exit(3)",
        "exit(2)": "exit(2)",
        "lost": f"exit({LOST_WORKER_CODE})",
    }
    actions.update({how + ", later": "import time; time.sleep(0.5); " + actions[how] for how in ("kill", "exit(2)")})
    children = [child(name, actions.get(how) or f"import time; time.sleep({how})") for name, how in ends.items()]
    try:
        assert watch.watch(children) == code
    finally:
        terminate(children)
    assert words in caplog.text


def test_an_exit_code_is_described_in_words():
    assert describe_exit(1) == "ended with code 1"
    assert describe_exit(-9) == "was ended by SIGKILL"


class TestMistakes:
    @pytest.mark.parametrize(
        "values, words",
        [
            ({"command": ()}, "launch only starts trainings"),
            ({"command": ("verify", "x")}, "launch only starts trainings"),
            ({"workers": 0}, "`workers` must be at least 1, got 0"),
            ({"servers": 0}, "`servers` must be at least 1, got 0"),
            (
                {"engine": "horovod", "servers": 2},
                "`servers` must be 1 with `engine` horovod, which has no servers, got 2",
            ),
            (
                {"engine": "horovod", "command": ("train", "--kvstore", "dist_sync")},
                "--kvstore dist_sync does not go with `engine` horovod",
            ),
            ({"command": ("train", "--kvstore=horovod")}, "--kvstore horovod does not go with `engine` ps"),
            ({"hosts": ("one",), "ssh": "no-such-program -x"}, "there is no program no-such-program"),
        ],
    )
    def test_a_mistake_names_the_argument(self, values, words):
        with pytest.raises(UserError, match=words):
            run(Launch(**dict({"command": ("train",), "workers": 1, "servers": 1}, **values)))

    def test_a_host_file(self, tmp_path):
        path = tmp_path / "hosts"
        path.write_text("# machines\nnode1\n\nuser@node2  # the new one\n")
        assert read_hosts(str(path)) == ("node1", "user@node2")
        path.write_text("# none\n")
        with pytest.raises(UserError, match="names no host"):
            read_hosts(str(path))
        with pytest.raises(UserError, match="nowhere"):
            read_hosts("/nowhere/hosts")
