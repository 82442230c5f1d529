"""Start and disturb runs of several processes."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time

from arcface_mx.config import field_table, find_loss, from_flat
from arcface_mx.data.recordio.writer import RecordWriter
from tests.conftest import TINY_SIDE, tiny_image
from tests.support.training import TINY

IMAGES = 40  # one batch holds them all, so the order in which the workers read them does not matter
SETTINGS = dict(
    TINY, freeze_batchnorm=True, mirror=False, lr=0.001, batch_size=IMAGES, steps=8, log_every=1, checkpoint_every=2
)
ROLES = ("scheduler", "server", "worker")  # values of DMLC_ROLE in a run with MXNet's parameter server


def write_faces(folder):
    """Write a face set of 5 identities with 8 images each, and return its folder."""
    with RecordWriter(folder, TINY_SIDE, TINY_SIDE) as writer:
        for identity in range(5):
            for number in range(IMAGES // 5):
                writer.add(identity, tiny_image(identity, number))
    return folder


def run_settings(**values):
    """Return SETTINGS with other values, without a scale if the loss has none."""
    settings = dict(SETTINGS, **values)
    if "scale" not in field_table(find_loss(settings.get("loss", "arcface"))):
        del settings["scale"]
    return settings


def config(tmp_path, data, name, **values):
    """Return the configuration of a run in `tmp_path`/`name`."""
    return from_flat(run_settings(data=data, run=str(tmp_path / name), **values))


def command(run, data, launch_flags=("-n", "2"), **values):
    """Return the command line of a run."""
    flags = []
    for name, value in run_settings(**values).items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(flag if value else "--no-" + flag[2:])
        else:
            flags += [flag, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    training = ["train", "--data", data, "--run", run, *flags]
    return [sys.executable, "-m", "arcface_mx", "launch", *launch_flags, "--", *training]


def finish(command_line):
    """Run a command line to its end; return its exit code and its output."""
    done = subprocess.run(command_line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def start_until(command_line, text):
    """Start a command line, and return the process and its output once a line has `text`."""
    launcher = subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in launcher.stdout:
        lines.append(line)
        if text in line:
            break
    return launcher, "".join(lines)


def children(pid, variable="DMLC_ROLE"):
    """Return the process ids of the children of `pid`, by the value of an environment variable."""
    groups = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stream:
                parent = int(stream.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{name}/environ", "rb") as stream:
                variables = dict(entry.split(b"=", 1) for entry in stream.read().split(b"\0") if b"=" in entry)
        except (OSError, ValueError):
            continue
        if parent == pid and variable.encode() in variables:
            groups.setdefault(variables[variable.encode()].decode(), []).append(int(name))
    return groups


def listening_addresses(parent):
    """Return where the children of a process listen: IP addresses, and sockets by who may open them."""
    inodes = set()
    for pid in (pid for pids in children(parent).values() for pid in pids):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(entry.path)))
    found = set()
    with open("/proc/net/tcp") as stream:
        for fields in map(str.split, stream.readlines()[1:]):
            if fields[3] == "0A" and fields[9] in inodes:  # listens
                found.add(socket.inet_ntoa(bytes.fromhex(fields[1][:8])[::-1]))
    with open("/proc/net/unix") as stream:
        for fields in map(str.split, stream.readlines()[1:]):
            if len(fields) == 8 and fields[6] in inodes and os.path.exists(fields[7]):
                others = stat.S_IMODE(os.stat(fields[7]).st_mode) & 0o077
                found.add("socket for others" if others else "socket for its user")
    return found


def alive(pid):
    """Whether a process runs, and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def any_alive(groups):
    """Whether any process of `children` runs."""
    return any(alive(pid) for pids in groups.values() for pid in pids)


def kill_in_the_middle(command_line, victim, variable="DMLC_ROLE", expected=ROLES):
    """Kill one process of a run once the checkpoint of step 2 is there; return code, output and seconds to the end.

    `variable` is the environment variable that tells the processes apart, `expected` its values.
    """
    launcher, output = start_until(command_line, "step 3/")
    processes = children(launcher.pid, variable)
    assert sorted(processes) == list(expected), output
    run = command_line[command_line.index("--run") + 1]
    while launcher.poll() is None and not os.path.isdir(os.path.join(run, "checkpoints", "step-00000002")):
        time.sleep(0.05)  # rank 0 may be a step behind the worker whose line was read
    os.kill(processes[victim][-1], signal.SIGKILL)
    start = time.monotonic()
    output += "".join(launcher.stdout.readlines())
    code = launcher.wait()
    seconds = time.monotonic() - start
    assert not any_alive(processes)
    return code, output, seconds


def print_faults(cases, variable="DMLC_ROLE", expected=ROLES):
    """Print a table row for each case (title, command line, victim): kill, then run the command again."""
    print("| killed at step 3 of 8 | exit code | seconds to the end | message | resumed at step | exit code then |")
    print("|---|---|---|---|---|---|")
    for title, command_line, victim in cases:
        code, output, seconds = kill_in_the_middle(command_line, victim, variable, expected)
        message = re.findall(r"launch: (.*);", output)[0]
        code_again, output = finish(command_line)
        step = re.findall(r"step-(\d+), step", output)
        resumed = int(step[0]) if step else "scratch"
        print(f"| {title} | {code} | {seconds:.1f} | {message} | {resumed} | {code_again} |", flush=True)
