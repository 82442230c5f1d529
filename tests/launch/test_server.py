"""The parameter server refuses commands from the network, and listens where only its users reach it."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from arcface_mx.launch.endpoint import FIRST_SOCKET, LOOPBACK, address_towards, remove_sockets, server_variables
from arcface_mx.launch.hosts import free_port, own_address, ssh_command
from arcface_mx.launch.launcher import SERVER, Launch, run
from arcface_mx.launch.supervise import ProcessSpec, supervise
from arcface_mx.util.errors import UserError
from tests.support.launching import command

MXNETS_OWN = ("-c", "import arcface_mx, mxnet")
# A worker that sends command 0 with a pickle that writes a file, before it trains or ends.
ATTACKER = """
import os, pickle, sys
from arcface_mx.train import run, worker
from tests.support.launching import listening_addresses

class Payload:
    def __reduce__(self):
        return open, (sys.argv[1], "w")

def attack(*arguments):
    this = worker.join(*arguments)
    print("listening", sorted(listening_addresses(os.getppid())))
    this.kvstore._send_command_to_servers(0, pickle.dumps(Payload(), 0).decode())
    return this

if len(sys.argv) == 2:
    attack("dist_sync")
else:
    run.join = attack
    from arcface_mx.cli import main
    sys.exit(main(sys.argv[2:]))
"""


def run_with_attacker(number, server, victim, training=()):
    """Run scheduler, server and one worker that attacks, and return the exit code."""
    shared = {**server_variables(LOOPBACK, number, 1, 1), "PYTHONUNBUFFERED": "1"}
    roles = {
        "scheduler": ("scheduler", server),
        "server 0": ("server", server),
        "worker 0": ("worker", ("-c", ATTACKER, victim, *training)),
    }
    try:
        return supervise(
            [ProcessSpec(name, line, {**shared, "DMLC_ROLE": role}) for name, (role, line) in roles.items()]
        )
    finally:
        remove_sockets(number, 2)


@pytest.mark.slow
def test_a_pickle_from_the_network_is_not_read_and_training_goes_on(tmp_path, faces, capsys):
    victim, folder = str(tmp_path / "victim"), str(tmp_path / "run")
    training = command(folder, faces, steps=1, kvstore="dist_sync")
    training = training[training.index("train") :]
    assert run_with_attacker(FIRST_SOCKET + os.getpid(), SERVER, victim, training) == 0
    output = capsys.readouterr().out
    assert "[server 0] refused command 0 from the network" in output and "Traceback" not in output
    assert not os.path.exists(victim)
    assert os.path.isfile(os.path.join(folder, "metrics.json"))
    assert "[worker 0] listening ['socket for its user']" in output


@pytest.mark.slow
def test_mxnets_own_server_reads_the_pickle(tmp_path, capsys):
    victim = str(tmp_path / "victim")
    run_with_attacker(FIRST_SOCKET + os.getpid(), MXNETS_OWN, victim)
    assert os.path.exists(victim)  # so the attack is real


@pytest.mark.slow
def test_over_several_machines_only_the_address_towards_the_scheduler_listens(tmp_path, capsys):
    victim = str(tmp_path / "victim")
    assert run_with_attacker(free_port(LOOPBACK), SERVER, victim) == 0
    assert f"[worker 0] listening ['{LOOPBACK}']" in capsys.readouterr().out
    assert not os.path.exists(victim)


def test_the_launcher_says_where_its_processes_listen(monkeypatch, caplog):
    caplog.set_level("INFO", "arcface_mx")
    seen = []
    monkeypatch.setattr("arcface_mx.launch.launcher.supervise", lambda processes, ssh: seen.extend(processes) or 0)
    run(Launch(("train",), 2))
    assert "Unix sockets in /tmp. Only this user can open them" in caplog.text
    run(Launch(("train",), 2, hosts=("node1",), address=LOOPBACK, ssh=sys.executable))
    message = caplog.text
    port = seen[-1].environment["DMLC_PS_ROOT_PORT"]
    assert f"the scheduler on {LOOPBACK}:{port}," in message and "asks for no password" in message
    assert "DMLC_LOCAL" not in seen[-1].environment and seen[0].environment["DMLC_LOCAL"] == "1"


def test_the_sockets_number_the_workers_so_that_ranks_follow(monkeypatch):
    seen = []
    monkeypatch.setattr("arcface_mx.launch.launcher.supervise", lambda processes, ssh: seen.extend(processes) or 0)
    run(Launch(("train",), 3, servers=2))
    numbers = [int(process.environment["PORT"]) for process in seen if "PORT" in process.environment]
    assert numbers == sorted(set(numbers)) and len(numbers) == 5
    assert min(numbers) == 1 + int(seen[0].environment["DMLC_PS_ROOT_PORT"]) > FIRST_SOCKET


def test_an_address_is_resolved_and_must_be_reachable(monkeypatch):
    assert own_address("localhost", ("node1",)) == LOOPBACK  # as the user says
    assert address_towards(LOOPBACK) == LOOPBACK
    monkeypatch.setattr(socket, "gethostbyname", lambda name: "127.0.1.1")
    with pytest.raises(UserError, match="`address` is missing: the host name .* 127.0.1.1"):
        own_address("", ("node1",))
    with pytest.raises(UserError, match="192.0.2.1 is no address of this machine"):
        free_port("192.0.2.1")


def test_a_host_cannot_be_an_option_of_ssh(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("node1\n-oProxyCommand=evil\n")
    from arcface_mx import cli

    assert cli.main(["launch", "-n", "2", "--hosts", str(hosts), "--", "train"]) == 2
    with pytest.raises(UserError, match="'-oProxyCommand=evil' is no host name"):
        run(Launch(("train",), 1, hosts=("-oProxyCommand=evil",)))
    line = ssh_command("ssh -p 1", "node1", ["-m", "x"], {}, terminal=True)
    assert line[:-1] == ["ssh", "-p", "1", "-tt", "--", "node1"]
