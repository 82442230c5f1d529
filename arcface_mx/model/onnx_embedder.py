"""A model that is an ONNX file, in ONNX Runtime on the CPU."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, List, Optional

import numpy as np

from arcface_mx.model.embedder import Embedder
from arcface_mx.model.engines import OnnxEngine
from arcface_mx.model.onnx_file import read_onnx
from arcface_mx.model.trial import try_onnx
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    import mxnet as mx

LOGGER = logging.getLogger(__name__)


class OnnxEmbedder(Embedder):
    """An ONNX file that embeds images. It has no MXNet graph and no MXNet parameters.

    Parameters
    ----------
    path : str
        The ONNX file.
    contexts : list of Context, optional
        Devices; only CPUs are taken.
    layer : str, optional
        Name of the output that is the embedding, for a graph with several outputs.
    convention : str, optional
        The input convention, such as "rgb,127.5,128". The default is what the file states. A file that states
        none is taken as InsightFace's models are: RGB, (pixel − 127.5) / 127.5, or pixels from 0 to
        255 where the graph begins with a normalisation.

    Raises
    ------
    UserError
        If the file is refused, or a package is missing.
    """

    def __init__(
        self,
        path: str,
        contexts: Optional[List[mx.Context]] = None,
        layer: Optional[str] = None,
        convention: Optional[str] = None,
    ) -> None:
        import mxnet as mx

        if any(context.device_type != "cpu" for context in contexts or ()):
            raise UserError(f"{path}: ONNX Runtime runs on the CPU only; remove `devices`")
        file = read_onnx(path)
        outputs = [output.name for output in file.model.graph.output]
        if layer is None and len(outputs) != 1:
            raise UserError(f"{path}: has {len(outputs)} outputs ({', '.join(outputs[:5])}); name one with `layer`")
        if layer is not None and layer not in outputs:
            raise UserError(f"{path}: has no output {layer}; it has {', '.join(outputs[:5])}")
        self.name, self.input_size, self.contexts = path, file.size, [mx.cpu()]
        self.convention, is_stated = file.convention(convention)
        self.convention_is_known = is_stated and not convention
        self.notes = []
        if not is_stated:
            LOGGER.warning("%s does not state its input; %s is assumed; state it by `input`", path, self.convention)
        if file.digest:
            try_onnx(path, file.digest, layer)
        engine = OnnxEngine(file.data, path, file.batch, layer)
        self._engine, self._make_engine = engine, lambda network: engine
        self.embedding_size = self._run_once(engine)

    def __getattr__(self, name: str) -> object:
        """Refuse what only an MXNet model has."""
        if name in ("symbol", "image_input", "_params"):
            raise UserError(
                f"{self.name}: is an ONNX file; this needs MXNet files, which arcface-mx import makes of it"
            )
        raise AttributeError(name)

    def _run_once(self, engine: OnnxEngine) -> int:
        """Return the length of the embedding of a grey image. Raises UserError if it is no vector."""
        grey = np.full((1, 3) + self.input_size, 127.5, np.float32)
        output = engine.run(self.convention.apply(grey))
        if output.dtype != np.float32 or output.size < 1 or output.shape != (1, output.size) + (1,) * (output.ndim - 2):
            raise UserError(
                f"{self.name}: its output is {output.dtype} of shape {output.shape}, not float32 (images, d)"
            )
        return int(output.size)
