"""The process in which a graph is tried. It reads a request from standard input and prints its answer as JSON."""

from __future__ import annotations

import json
import resource
import sys
from typing import Any, Dict, Mapping, NamedTuple, Tuple

import arcface_mx  # noqa: F401  (prepares numpy for mxnet)

PROCESSOR_SECONDS, MAX_BYTES = 100, 6 << 30


class Stored(NamedTuple):
    """Shape and type of a parameter, as far as a trial needs it."""

    shape: Tuple[int, ...]
    dtype: str


def main() -> None:
    """Answer the request."""
    request = json.load(sys.stdin)
    import mxnet  # noqa: F401  (its libraries do not count)

    set_limits()
    print("\n" + json.dumps({"reason": reason(request)}), flush=True)


def set_limits() -> None:
    """Limit the processor time and the memory of this process from now on, and write no core file."""
    with open("/proc/self/statm", encoding="ascii") as stream:
        size = int(stream.read().split()[0]) * resource.getpagesize()
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    for kind, limit in (
        (resource.RLIMIT_AS, size + MAX_BYTES),
        (resource.RLIMIT_CPU, int(used) + PROCESSOR_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def reason(request: Mapping[str, Any]) -> str:
    """Return why the graph is refused; empty if it can be used."""
    import mxnet as mx

    from arcface_mx.model.graph import mxnet_reason
    from arcface_mx.model.graph_check import InvalidGraph
    from arcface_mx.util.errors import UserError

    path = request["paths"]["symbol"]
    try:
        _use(request)
    except UserError as error:
        return str(error)
    except (mx.base.MXNetError, InvalidGraph) as error:
        return f"{path}: cannot be read as an MXNet symbol: {mxnet_reason(error)}"
    except MemoryError:
        return f"{path}: takes more memory than {MAX_BYTES >> 30} GB for one image"
    except Exception as error:  # whatever a graph of unknown origin causes
        return f"{path}: cannot be used: {mxnet_reason(error)}"
    return ""


def _use(request: Mapping[str, Any]) -> None:
    """Load the graph, infer its shapes and embed one image, with parameters that are ones."""
    import mxnet as mx

    from arcface_mx.model.graph import image_input
    from arcface_mx.model.load import prepare

    arguments, states = _stored(request["arguments"]), _stored(request["states"])
    symbol, _, size = prepare(request["paths"], request["text"], arguments, states, request["layer"])
    if "float16" in request["text"] or any("float32" != stored.dtype for stored in arguments.values()):
        return  # CPUs do not run every layer in half precision
    image = image_input(symbol, arguments, states, request["paths"]["params"])
    arrays = {name: mx.nd.ones(arguments[name].shape) for name in symbol.list_arguments() if name != image}
    arrays[image] = mx.nd.ones((1, 3, *size))
    auxiliary = {name: mx.nd.ones(states[name].shape) for name in symbol.list_auxiliary_states()}
    executor = symbol.bind(mx.cpu(), arrays, aux_states=auxiliary, grad_req="null")
    for output in executor.forward(is_train=False):
        output.asnumpy()


def _stored(shapes: Mapping[str, Any]) -> Dict[str, Stored]:
    return {name: Stored(tuple(shape), kind) for name, (shape, kind) in shapes.items()}


if __name__ == "__main__":
    main()
