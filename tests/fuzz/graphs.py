"""Change graphs by what is known of operators, and count what becomes of them: python -m tests.fuzz.graphs --runs 3149

Operators, inputs and attributes are exchanged. A graph that passes the check is loaded and run in a child process,
with limits, as `arcface_mx/model/trial.py` does it. A traceback or an answer of several lines is a finding. The child
may die, because the process that tries graphs may die.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import re
import signal
import sys

import numpy as np

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


def attempt(text):
    """Load and run a graph with parameters of the shapes that it asks for; returns the answer of a trial."""
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
    request = {"paths": {"symbol": "x-symbol.json", "params": "x.params"}, "text": text, "layer": None}
    return trial_child.reason(dict(request, arguments=shapes, states=states))


def outcome(text, seconds):
    """Return what became of a graph, in words."""
    from arcface_mx.model import trial_child
    from arcface_mx.model.graph_check import InvalidGraph, check_graph

    try:
        check_graph(text.encode())
    except InvalidGraph as reason:
        return "refused by the check" if "\n" not in str(reason) else "FINDING: several lines"
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        trial_child.PROCESSOR_SECONDS = seconds
        trial_child.set_limits()
        try:
            answer = attempt(text)
            word = "FINDING: several lines" if "\n" in answer else "refused in one line" if answer else "loaded and run"
        except BaseException as error:
            word = f"FINDING: {error!r:.200}"
        os.write(sender, word.encode())
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as stream:
        word = stream.read().decode()
    _, status = os.waitpid(child, 0)
    return f"child died of {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else word


def main():
    import arcface_mx  # noqa: F401  (prepares numpy for mxnet, which the children take over)
    from tests.fuzz.readers import graphs

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3149, help="changed graphs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the changes (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=20, help="processor time of a child (default: %(default)s)")
    args = parser.parse_args()
    seeds, chance = [json.loads(graph) for graph in graphs()], random.Random(args.seed)
    counts = collections.Counter(outcome(changed(chance.choice(seeds), chance), args.seconds) for _ in range(args.runs))
    print(f"{args.runs} graphs: " + ", ".join(f"{count} {word}" for word, count in counts.most_common()), flush=True)
    return int(any(word.startswith("FINDING") for word in counts))


if __name__ == "__main__":
    sys.exit(main())
