"""The process in which an ONNX file is tried: read a request, load and run the file, print the answer as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any, Mapping

from arcface_mx.model.trial_child import MAX_BYTES, set_limits


def main() -> None:
    """Answer the request."""
    request = json.load(sys.stdin)
    import onnx  # noqa: F401  (its libraries do not count)
    import onnxruntime  # noqa: F401

    from arcface_mx.model import engines  # noqa: F401

    set_limits()
    print("\n" + json.dumps({"reason": reason(request)}), flush=True)


def reason(request: Mapping[str, Any]) -> str:
    """Return why the file is refused; empty if it can be used."""
    import numpy as np

    from arcface_mx.model.engines import OnnxEngine
    from arcface_mx.model.onnx_file import read_onnx
    from arcface_mx.util.errors import UserError

    path = request["shown"]
    try:
        file = read_onnx(request["path"])
        engine = OnnxEngine(file.data, path, file.batch, request["layer"])
        for value in (0, 127.5):
            engine.run(np.full((1, 3, *file.size), value, np.float32))
    except UserError as error:
        return str(error).replace(request["path"], path)
    except MemoryError:
        return f"{path}: takes more memory than {MAX_BYTES >> 30} GB for one image"
    except Exception as error:  # whatever a file of unknown origin causes
        return f"{path}: cannot be used: {(str(error) or type(error).__name__).splitlines()[0]:.200}"
    return ""


if __name__ == "__main__":
    main()
