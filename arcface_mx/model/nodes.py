"""A graph as a list of nodes that can be edited: read from a Symbol's JSON, written back to one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, List

if TYPE_CHECKING:
    import mxnet as mx


class Node:
    """An operator or, with op "null", a variable. inputs: what feeds it, each a `Source`."""

    def __init__(self, op: str, name: str, attrs: Dict[str, str]) -> None:
        self.op, self.name, self.attrs = op, name, attrs
        self.inputs: List[Source] = []

    def flag(self, name: str, default: bool) -> bool:
        """A boolean attribute, which MXNet writes as True, true or 1."""
        value = self.attrs.get(name)
        return default if value is None else value.lower() in ("true", "1")


class Source:
    """Output number `output` of `node`; `version` is MXNet's own count, kept as it is."""

    def __init__(self, node: Node, output: int = 0, version: int = 0) -> None:
        self.node, self.output, self.version = node, output, version


class Graph:
    """The nodes that lead to `heads`, in topological order."""

    def __init__(self, symbol: mx.sym.Symbol) -> None:
        stored = json.loads(symbol.tojson())
        nodes = [Node(entry["op"], entry["name"], dict(entry.get("attrs", {}))) for entry in stored["nodes"]]
        for node, entry in zip(nodes, stored["nodes"]):
            node.inputs = [Source(nodes[place[0]], *place[1:]) for place in entry["inputs"]]
        self.heads = [Source(nodes[place[0]], *place[1:]) for place in stored["heads"]]
        self._attrs = stored.get("attrs", {})

    def nodes(self) -> List[Node]:
        """All nodes, each after what feeds it."""
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

    def users(self) -> Dict[int, List[Node]]:
        """{id of a node: the nodes it feeds, once an input}; heads are not counted."""
        found: Dict[int, List[Node]] = {}
        for node in self.nodes():
            for source in node.inputs:
                found.setdefault(id(source.node), []).append(node)
        return found

    def is_head(self, node: Node) -> bool:
        return any(head.node is node for head in self.heads)

    def replace(self, old: Node, new: Source) -> None:
        """Let everything that reads output 0 of `old` read `new`."""
        for source in [source for node in self.nodes() for source in node.inputs] + self.heads:
            if source.node is old and source.output == 0:
                source.node, source.output, source.version = new.node, new.output, new.version

    def symbol(self) -> mx.sym.Symbol:
        """The graph as a Symbol."""
        import mxnet as mx

        nodes = self.nodes()
        place = {id(node): number for number, node in enumerate(nodes)}

        def written(sources: List[Source]) -> List[List[int]]:
            return [[place[id(source.node)], source.output, source.version] for source in sources]

        entries: List[Dict[str, Any]] = []
        for node in nodes:
            entries.append({"op": node.op, "name": node.name, "attrs": node.attrs, "inputs": written(node.inputs)})
        stored = {
            "nodes": entries,
            "arg_nodes": [number for number, node in enumerate(nodes) if node.op == "null"],
            "node_row_ptr": list(range(len(nodes) + 1)),
            "heads": written(self.heads),
            "attrs": self._attrs,
        }
        return mx.sym.load_json(json.dumps(stored))
