"""A run whose terminal is closed saves a checkpoint; one that nohup has started goes on."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios

import pytest

from arcface_mx.train.interrupts import Interrupts
from tests.support.launching import command, config
from tests.support.training import final


@pytest.mark.slow
def test_a_closed_terminal_saves_a_checkpoint(tmp_path, tiny_faces, hangup_is_heard):
    values = {"steps": 40_000, "lr_drops": (1,), "batch_size": 10, "checkpoint_every": 40_000}
    words = command(str(tmp_path / "run"), tiny_faces, **values)
    training = [*words[: words.index("launch")], *words[words.index("train") :]]
    terminal, its_end = os.openpty()
    running = subprocess.Popen(
        training,
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(its_end)
    printed = b""
    while b"step 3/" not in printed:
        printed += os.read(terminal, 4096)
    os.close(terminal)
    running.wait(timeout=120)
    assert 3 <= final(config(tmp_path, tiny_faces, "run", **values)).step < 40_000


@pytest.mark.parametrize("ignored", [True, False])
def test_nohup_is_respected(ignored):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interrupts.asked is not ignored
        assert signal.getsignal(signal.SIGHUP) == (signal.SIG_IGN if ignored else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_launcher_respects_nohup():
    code = (
        "import os, signal, sys\n"
        "from arcface_mx.launch.supervise import ProcessSpec, supervise\n"
        "signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))\n"
        "child = 'import os, signal; os.kill(os.getppid(), signal.SIGHUP)'\n"
        "sys.exit(supervise([ProcessSpec('worker 0', ('-c', child + '; import time; time.sleep(0.5)'), {})]))\n"
    )
    for handler, expected in (("SIG_IGN", 0), ("SIG_DFL", 130)):
        assert subprocess.run([sys.executable, "-c", code, handler]).returncode == expected
