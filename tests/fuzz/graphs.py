"""Change graphs by what is known of operators, and count what becomes of them: python -m tests.fuzz.graphs --runs N

Operators, inputs and attributes are exchanged. A child process checks a batch of graphs, and loads and runs those that
pass, with limits, as `arcface_mx/model/trial.py` does it. A traceback or an answer of several lines is a finding. The
child may die. The graph that it died of is then tried by the command's own code, which must refuse it in one line. Such
a graph is a hole of the check: it is named, and written into the folder --keep.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import re
import select
import signal
import sys
import tempfile
import time

import numpy as np

from tests.support.heading import heading

BATCH = 500  # graphs that a child gets
MAX_SECONDS = 300  # of a graph
NUMBERS = "0 1 -1 2 3 7 31 -31 1000 65536 16777216 2147483647 -2147483648".split()
REALS = "0 1 -1 inf -inf 1e-300 1e300 0.5 nan".split()


def value(kind, chance):
    """Return a value of a type as MXNet describes it, often an odd one."""
    if kind.startswith("{"):
        return chance.choice(re.findall(r"'([^']*)'", kind.partition("}")[0]))
    if kind.startswith("bool"):
        return chance.choice(["True", "False"])
    if kind.startswith(("float", "double")):
        return chance.choice(REALS)
    if kind.startswith("Shape"):
        return (
            "("
            + ", ".join(chance.choice(NUMBERS + ["-2", "-3", "-4", "None"]) for _ in range(chance.randrange(6)))
            + ")"
        )
    return chance.choice(NUMBERS + ["None"])


def exchange(node, place, chance):
    """Give a node another operator, with about as many inputs as that one takes."""
    from arcface_mx.model.operators import NAMES, operators

    node["op"] = chance.choice(NAMES)
    operator = operators()[node["op"]]
    kinds = operator.attributes.items()
    attributes = {name: value(kind, chance) for name, kind in kinds if "required" in kind or chance.random() < 0.3}
    count = chance.randrange(1, 4) if operator.variadic else len(operator.inputs)
    if operator.variadic:
        attributes["num_args"] = str(count)
    if node["op"] in ("softmax", "log_softmax", "softmin") and attributes.pop("use_length", "False") != "none":
        count = 1
    if node["op"] == "LeakyReLU":
        count = 2 if attributes.get("act_type") == "prelu" else 1
    inputs = node["inputs"]
    while place and len(inputs) < count:
        inputs.append([chance.randrange(place), 0, 0])
    node["inputs"], node["attrs"] = inputs[:count], attributes


def changed(graph, chance):
    """Return a graph with one to three changes, as text."""
    from arcface_mx.model.operators import operators

    graph = json.loads(json.dumps(graph))
    nodes = graph["nodes"]
    for _ in range(chance.choice((1, 1, 2, 3))):
        place = chance.choice([number for number, node in enumerate(nodes) if node["op"] != "null"])
        node, kind = nodes[place], chance.randrange(5)
        kinds = operators()[node["op"]].attributes
        if kind == 0 and kinds:
            name = chance.choice(list(kinds))
            node.setdefault("attrs", {})[name] = value(kinds[name], chance)
        elif kind == 1 and node["inputs"]:
            node["inputs"].pop(chance.randrange(len(node["inputs"])))
        elif kind == 2:
            node["inputs"].append([chance.randrange(place), 0, 0])
        elif kind > 2:
            exchange(node, place, chance)
    return json.dumps(graph)


def attempt(text, note):
    """Load and run a graph with parameters of the shapes that it asks for; returns the answer of a trial.

    The request of the trial is written to the file `note` first.
    """
    import mxnet as mx

    from arcface_mx.model import trial_child

    try:
        symbol = mx.sym.load_json(text)
        shapes, _, states = symbol.infer_shape(data=(1, 3, 32, 32))
    except mx.base.MXNetError:
        return "MXNet refuses it"
    names = symbol.list_arguments(), symbol.list_auxiliary_states()
    shapes, states = (
        {name: [list(shape), "float32"] for name, shape in zip(*pair) if name != "data"}
        for pair in zip(names, (shapes or [(1,)] * len(names[0]), states or [(1,)] * len(names[1])))
    )
    if any(np.prod(shape, dtype=float) > 1 << 22 for shape, _ in shapes.values()):
        return "no file of parameters could be so small"
    wanted = request(text, shapes, states)
    with open(note, "w") as stream:
        stream.write(wanted)
    return trial_child.reason(json.loads(wanted))


def request(text, shapes, states):
    """Return what `arcface_mx/model/trial.py` sends to the process that tries a graph."""
    paths = {"symbol": "x-symbol.json", "params": "x.params"}
    return json.dumps({"paths": paths, "text": text, "layer": None, "arguments": shapes, "states": states})


def outcome(text, note):
    """Return what became of a graph, in words."""
    from arcface_mx.model.graph_check import InvalidGraph, check_graph

    try:
        check_graph(text.encode())
    except InvalidGraph as reason:
        return "refused by the check" if "\n" not in str(reason) else "FINDING: several lines"
    try:
        answer = attempt(text, note)
    except BaseException as error:
        return f"FINDING: {error!r:.200}".replace("\n", " ")
    return "FINDING: several lines" if "\n" in answer else "refused in one line" if answer else "loaded and run"


def run_batch(texts, seconds, note):
    """Try graphs in a child until it dies; return their outcomes, of which the last may be how it died."""
    from arcface_mx.model import trial_child

    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        trial_child.PROCESSOR_SECONDS = seconds * len(texts)
        trial_child.set_limits()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for text in texts:
            signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF ends the process, also inside of C++
            if os.path.exists(note):
                os.unlink(note)
            os.write(sender, outcome(text, note).encode() + b"\n")
        os._exit(0)
    os.close(sender)
    words = _lines_until_silence(receiver, child)
    _, status = os.waitpid(child, 0)
    if len(words) < len(texts):
        words.append(f"child died of {signal.Signals(os.WTERMSIG(status)).name}" if status & 127 else "FINDING: no end")
    return words


def _lines_until_silence(receiver, child):
    """Return the lines from a pipe. The child is killed when it is silent for too long."""
    content = b""
    while True:
        if not select.select([receiver], [], [], MAX_SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
        piece = os.read(receiver, 1 << 16)
        if not piece:
            os.close(receiver)
            return content.decode().splitlines()
        content += piece


def shapes_of(texts):
    """Return the shapes of the parameters of graphs, (arguments, states), as a request states them."""
    import mxnet as mx

    arguments, states = {}, {}
    for symbol in map(mx.sym.load_json, texts):
        given, _, auxiliary = symbol.infer_shape(data=(1, 3, 32, 32))
        for group, names, shapes in (
            (arguments, symbol.list_arguments(), given),
            (states, symbol.list_auxiliary_states(), auxiliary),
        ):
            group.update({name: [list(shape), "float32"] for name, shape in zip(names, shapes) if name != "data"})
    return arguments, states


def as_command(text, note, shapes):
    """Return what the command's own code says of a graph that a child died of, in words."""
    from arcface_mx.model import trial

    try:
        with open(note) as stream:
            wanted = stream.read()
    except FileNotFoundError:
        wanted = request(text, *shapes)  # it died when shapes were inferred; a file could hold these
    answer = trial.run_trial("arcface_mx.model.trial_child", "x-symbol.json", wanted, "MXNet")
    if "\n" in answer:
        return f"FINDING: several lines: {answer!r:.200}"
    return f"one line of the command: {answer}" if answer else "loaded and run by the command"


def keep(folder, text, number):
    """Write a graph that is worth a look into a folder."""
    if folder:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{number:06d}-symbol.json"), "w") as stream:
            stream.write(text)


def main():
    import arcface_mx  # noqa: F401  (prepares numpy for mxnet, which the children take over)
    from tests.fuzz.readers import graphs

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3149, help="changed graphs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the changes (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=20, help="processor time of a graph (default: %(default)s)")
    parser.add_argument("--keep", metavar="FOLDER", help="for graphs that a child died of, and findings")
    parser.add_argument("--out", metavar="FILE", help="also write what is printed to this file")
    args = parser.parse_args()
    say = heading("tests.fuzz.graphs", args.out)
    seeds, chance = [json.loads(graph) for graph in graphs()], random.Random(args.seed)
    shapes = shapes_of([json.dumps(seed) for seed in seeds])
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))  # the counts until then are printed
    counts, start, done = collections.Counter(), time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        note, waiting = os.path.join(folder, "request.json"), []
        while done < args.runs and not stopped:
            while len(waiting) < min(BATCH, args.runs - done):
                waiting.append(changed(chance.choice(seeds), chance))
            words = run_batch(waiting, args.seconds, note)
            for number, word in enumerate(words):
                if word.startswith(("child", "FINDING")):
                    answer = as_command(waiting[number], note, shapes) if word.startswith("child") else ""
                    say(f"graph {done + number}: {word}; {answer}")
                    keep(args.keep, waiting[number], done + number)
                    counts["FINDING"] += answer.startswith("FINDING")
                counts[word] += 1
            done, waiting = done + len(words), waiting[len(words) :]
    counts = +counts
    words = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    say(f"{done} graphs{' of ' + str(args.runs) if stopped else ''}: {words}; {time.monotonic() - start:.0f} s")
    return int(any(word.startswith("FINDING") for word in counts))


if __name__ == "__main__":
    sys.exit(main())
