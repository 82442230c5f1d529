"""A graph as a list of nodes that can be edited: read from a Symbol's JSON, written back to one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Dict, List

if TYPE_CHECKING:
    import mxnet as mx


class Node:
    """An operator or, with the operator "null", a variable."""

    def __init__(self, op: str, name: str, attrs: Dict[str, str], *inputs: Source) -> None:
        self.op, self.name, self.attrs = op, name, attrs
        # Copies, because `Graph.replace` changes each input on its own.
        self.inputs = [Source(source.node, source.output, source.version) for source in inputs]

    def flag(self, name: str, default: bool) -> bool:
        """Return a boolean attribute, which MXNet writes as True, true or 1."""
        value = self.attrs.get(name)
        return default if value is None else value.lower() in ("true", "1")


class Source:
    """Output number `output` of `node`. `version` is MXNet's own count and is kept unchanged."""

    def __init__(self, node: Node, output: int = 0, version: int = 0) -> None:
        self.node, self.output, self.version = node, output, version


class Graph:
    """The nodes that lead to `heads`, in topological order."""

    def __init__(self, symbol: mx.sym.Symbol) -> None:
        stored = json.loads(symbol.tojson())
        nodes = [Node(entry["op"], entry["name"], dict(entry.get("attrs", {}))) for entry in stored["nodes"]]
        for node, entry in zip(nodes, stored["nodes"]):
            node.inputs = [Source(nodes[index], *rest) for index, *rest in entry["inputs"]]
        self.heads = [Source(nodes[index], *rest) for index, *rest in stored["heads"]]
        self._attrs = stored.get("attrs", {})

    def nodes(self) -> List[Node]:
        """Return all nodes, each after its inputs."""
        ordered: Dict[int, Node] = {}
        waiting = [head.node for head in reversed(self.heads)]
        while waiting:
            node = waiting[-1]
            missing = [source.node for source in node.inputs if id(source.node) not in ordered]
            if missing:
                waiting += reversed(missing)
                continue
            waiting.pop()
            ordered[id(node)] = node
        return list(ordered.values())

    def consumers(self) -> Dict[int, List[Node]]:
        """Return the nodes that read a node, once per input, by the node's id."""
        consumers: Dict[int, List[Node]] = {}
        for node in self.nodes():
            for source in node.inputs:
                consumers.setdefault(id(source.node), []).append(node)
        return consumers

    def is_head(self, node: Node) -> bool:
        return any(head.node is node for head in self.heads)

    def replace(self, old: Node, new: Source) -> None:
        """Make everything that reads output 0 of `old` read `new`."""
        for source in [source for node in self.nodes() for source in node.inputs] + self.heads:
            if source.node is old and source.output == 0:
                source.node, source.output, source.version = new.node, new.output, new.version

    def symbol(self) -> mx.sym.Symbol:
        """Return the graph as a Symbol."""
        import mxnet as mx

        nodes = self.nodes()
        indices = {id(node): index for index, node in enumerate(nodes)}

        def entries(sources: List[Source]) -> List[List[int]]:
            return [[indices[id(source.node)], source.output, source.version] for source in sources]

        stored = {
            "nodes": [
                {"op": node.op, "name": node.name, "attrs": node.attrs, "inputs": entries(node.inputs)}
                for node in nodes
            ],
            "arg_nodes": [index for index, node in enumerate(nodes) if node.op == "null"],
            "node_row_ptr": list(range(len(nodes) + 1)),
            "heads": entries(self.heads),
            "attrs": self._attrs,
        }
        return mx.sym.load_json(json.dumps(stored))
