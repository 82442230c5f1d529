"""Turn an ONNX file or a PyTorch file of a face network into MXNet files."""

from __future__ import annotations

from typing import Callable, List, NamedTuple, Optional

import numpy as np

from arcface_mx.export.parity import check_images, parity
from arcface_mx.export.torch_reference import iresnet_embeddings
from arcface_mx.model.attributes import describe, with_attributes
from arcface_mx.model.convention import ASSUMED, parse_convention
from arcface_mx.model.embedder import Embedder, to_batch
from arcface_mx.model.engines import MxnetEngine, Network, OnnxEngine
from arcface_mx.model.from_onnx import from_onnx
from arcface_mx.model.from_torch import from_torch
from arcface_mx.model.graph import Size
from arcface_mx.model.load import check_memory
from arcface_mx.model.onnx_file import is_onnx, read_onnx
from arcface_mx.model.pth_file import read_pth
from arcface_mx.model.save import save_prefix
from arcface_mx.model.trial import try_onnx
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import refuse_existing

NUM_IMAGES, TORCH_IMAGES = 16, 4  # to compare on; the second, in float64, takes seconds an image
TORCH_ENDINGS = (".pth", ".pt")


class _Original(NamedTuple):
    """A network made of a file, and the embeddings that the file itself gives for a batch of RGB pixels."""

    network: Network
    embeddings: Callable[[np.ndarray], np.ndarray]
    by: str  # what computes them
    num_images: int


def import_model(source: str, prefix: str, convention: Optional[str] = None, images: Optional[str] = None) -> List[str]:
    """Write PREFIX-symbol.json and PREFIX-0000.params, which take RGB pixels from 0 to 255.

    Parameters
    ----------
    source : str
        An ONNX file of operators that IR-ResNet and MobileFaceNet consist of, or the state dict of
        an IResNet of InsightFace's arcface_torch (.pth, .pt). Nothing in it is executed.
    prefix : str
        What the names of the new files begin with.
    convention : str, optional
        What the original takes, such as "rgb,127.5,127.5". An ONNX file has to state it otherwise;
        arcface_torch's is known.
    images : str, optional
        Aligned faces to compare on: a .bin file, a face set, a folder or a list. The default is
        generated patterns.

    Returns
    -------
    list of str
        Lines that say what was written and measured.

    Raises
    ------
    UserError
        If the file is refused or its network is not one that is known, or if unit embeddings differ
        from the original's by more than 1e-4. Nothing is written then.
    """
    for ending in ("-symbol.json", "-0000.params"):
        refuse_existing(prefix + ending)
    if is_onnx(source):
        original = _onnx(source, convention)
    elif source.lower().endswith(TORCH_ENDINGS):
        original = _torch(source, convention)
    else:
        raise UserError(f"{source}: its name ends neither in .onnx nor in .pth or .pt, the formats that can be read")
    network = original.network
    check_memory(network.symbol, source, network.arg_params, network.size)
    batch = _images(images, network.size, original.num_images)
    made = Embedder(
        *network[:3], None, network.size, source, lambda graph: MxnetEngine(graph, made.contexts, optimise=False)
    )
    embeddings = made.embed(list(batch.transpose(0, 2, 3, 1).astype(np.uint8)))
    difference = parity(original.embeddings(batch), embeddings, f"{source} in MXNet")
    attributes = describe(network.size, made.embedding_size, aligned=False)
    symbol = with_attributes(network.symbol, network.image, attributes)
    save_prefix(symbol, network.arg_params, network.aux_params, prefix)
    kind = "images" if images else "generated patterns"
    return [
        f"{prefix}-symbol.json, {prefix}-0000.params: {made.embedding_size}-d embeddings of {network.size[0]}×"
        f"{network.size[1]} RGB pixels from 0 to 255",
        f"unit embeddings differ from {original.by} by at most {difference:.1e} on {len(batch)} {kind}",
    ]


def _onnx(source: str, convention: Optional[str]) -> _Original:
    """Read an ONNX file; ONNX Runtime gives the original embeddings."""
    file = read_onnx(source)
    applied, is_known = file.convention(convention)
    if not is_known:
        raise UserError(
            f"{source}: does not state its input, which becomes part of the graph; give `input`, such as "
            "rgb,127.5,127.5 (InsightFace's) or rgb (pixels from 0 to 255)"
        )
    network = from_onnx(file, applied)
    if file.digest:
        try_onnx(source, file.digest, None)
    engine = OnnxEngine(file.data, source, file.batch)
    return _Original(network, lambda batch: _flat(engine.run(applied.apply(batch))), "ONNX Runtime's", NUM_IMAGES)


def _torch(source: str, convention: Optional[str]) -> _Original:
    """Read a state dict; a forward pass of its own in NumPy, in float64, gives the original embeddings."""
    applied = parse_convention(convention) if convention else ASSUMED
    state = read_pth(source)
    network = from_torch(state, source, applied)
    return _Original(
        network,
        lambda batch: iresnet_embeddings(state, applied.apply(batch)),
        "a separate forward pass in NumPy, float64,",
        TORCH_IMAGES,
    )


def _flat(output: np.ndarray) -> np.ndarray:
    return output.reshape(len(output), -1)


def _images(source: Optional[str], size: Size, count: int) -> np.ndarray:
    """Return a batch (n, 3, H, W), float32, of whole numbers from 0 to 255."""
    if source:
        return to_batch(check_images(source, size, count))
    random, images = np.random.RandomState(0), []
    for number in range(count):
        block = 4 << number % 3
        blocks = random.randint(0, 256, (-(-size[0] // block), -(-size[1] // block), 3)).astype(np.uint8)
        images.append(blocks.repeat(block, 0).repeat(block, 1)[: size[0], : size[1]])
    return to_batch(images)
