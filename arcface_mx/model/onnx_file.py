"""Read an ONNX file of anybody, checked before ONNX Runtime sees it, and seal the files that are written here.

A file is refused if it refers to data outside its folder, contains other graphs (control flow,
functions) or operators that are not ONNX's own, or leaves the size of its images open. A sealed
file states a SHA-256 of itself, because ONNX Runtime does not notice changed bits.
"""

from __future__ import annotations

import hashlib
import math
import os
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from arcface_mx.model.convention import ASSUMED, RAW, Convention, parse_convention, stated_convention
from arcface_mx.model.graph import Size
from arcface_mx.model.graph_check import InvalidGraph
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import fingerprint

MAX_BYTES, MAX_NODES, MAX_SIDE = 1 << 31, 1 << 16, 1024
DOMAINS = ("", "ai.onnx")  # two names of the standard
SEAL, SEALED = "arcface_checksum", "arcface_sha256"
SEAL_NOTE = f"the last entry, {SEALED}, is the SHA-256 of the bytes before it"
FIRST_NODES = 8  # a graph that normalises its input does so here


class OnnxFile(NamedTuple):
    """A checked file with one image input.

    Attributes
    ----------
    path : str
    model : onnx.ModelProto
        With its external data.
    data : bytes
        The same as one file without external data.
    image : str
        Name of the image input.
    size : (int, int)
        Height and width of the images.
    batch : int
        The number of images that the graph takes at a time; 0 is any number.
    metadata : dict of str to str
    digest : str
        SHA-256 of `data` where the file is not sealed; empty for a sealed one, which this project has written.
    """

    path: str
    model: Any
    data: bytes
    image: str
    size: Size
    batch: int
    metadata: Dict[str, str]
    digest: str

    def convention(self, stated: Optional[str] = None) -> Tuple[Convention, bool]:
        """Return the input convention, `stated` or what the file states, and whether it is one of these."""
        known = parse_convention(stated) if stated else stated_convention(self.metadata)
        if known:
            return known, True
        first = {node.op_type for node in list(self.model.graph.node)[:FIRST_NODES]}
        return (RAW if first & {"Sub", "Div"} and first & {"Mul", "Div"} else ASSUMED), False


def is_onnx(spec: str) -> bool:
    """Whether MODEL is the name of an ONNX file."""
    return spec.lower().endswith(".onnx")


def import_reader() -> Any:
    """Return the package onnx. Raises UserError if it or ONNX Runtime is missing."""
    try:
        import onnx
        import onnx.defs
        import onnx.external_data_helper
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UserError(f"ONNX files need onnx and onnxruntime ({error}): pip install 'arcface-mx[export]'") from None
    return onnx


def read_onnx(path: str) -> OnnxFile:
    """Read and check an ONNX file. Raises UserError with the reason if it is refused."""
    onnx = import_reader()
    try:
        raw, model = _parse(onnx, path)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        _check_seal(raw, metadata)
        _check_nodes(onnx, model)
        files = _external_files(model, path)
        image, size, batch = _image_input(model.graph)
        if files:
            onnx.external_data_helper.load_external_data_for_model(model, os.path.dirname(os.path.abspath(path)))
            raw = model.SerializeToString()
    except InvalidGraph as reason:
        raise UserError(f"{path}: {reason}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # of protobuf: more than 2 GB
        raise UserError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    digest = "" if SEALED in metadata and not files else hashlib.sha256(raw).hexdigest()
    return OnnxFile(path, model, raw, image, size, batch, metadata, digest)


def onnx_fingerprint(path: str) -> str:
    """Return the SHA-256 of an ONNX file and its external data."""
    onnx = import_reader()
    try:
        return fingerprint(path, *_external_files(_parse(onnx, path)[1], path))
    except InvalidGraph as reason:
        raise UserError(f"{path}: {reason}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def seal(data: bytes) -> bytes:
    """Return an ONNX file's bytes with their checksum in its metadata."""
    onnx = import_reader()
    model = onnx.load_model_from_string(data)
    entries = [(entry.key, entry.value) for entry in model.metadata_props if entry.key not in (SEAL, SEALED)]
    del model.metadata_props[:]
    for key, value in [(SEAL, SEAL_NOTE), *entries]:
        model.metadata_props.add(key=key, value=value)
    body: bytes = model.SerializeToString()
    return body + _last_entry(onnx, hashlib.sha256(body).hexdigest())


def check_seal(data: bytes, path: str, needed: bool = False) -> None:
    """Raise UserError if the bytes of an ONNX file differ from their checksum, or have none where it is `needed`."""
    onnx = import_reader()
    try:
        metadata = {entry.key: entry.value for entry in _decoded(onnx, data).metadata_props}
        _check_seal(data, metadata)
        if needed and SEALED not in metadata:
            raise InvalidGraph("states no checksum; export it again")
    except InvalidGraph as reason:
        raise UserError(f"{path}: {reason}") from None


def _last_entry(onnx: Any, digest: str) -> bytes:
    """Return the checksum as an entry of the metadata; protobuf adds what follows a message to its lists."""
    tail = onnx.ModelProto()
    tail.metadata_props.add(key=SEALED, value=digest)
    return bytes(tail.SerializeToString())


def _check_seal(raw: bytes, metadata: Dict[str, str]) -> None:
    if SEAL not in metadata and SEALED not in metadata:
        return
    digest = metadata.get(SEALED, "")
    end = SEALED.encode() + b"\x12\x40" + digest.encode()
    start = len(raw) - len(end) - 4  # the entry's two tags and two lengths
    if len(digest) != 64 or not raw.endswith(end) or hashlib.sha256(raw[:start]).hexdigest() != digest:
        raise InvalidGraph("differs from its checksum: it is damaged or was changed; copy or export it again")


def _parse(onnx: Any, path: str) -> Tuple[bytes, Any]:
    """Return (bytes, ModelProto)."""
    if not os.path.isfile(path):
        raise InvalidGraph("is not a file" if os.path.exists(path) else "no such file")
    with open(path, "rb") as stream:
        if os.fstat(stream.fileno()).st_size >= MAX_BYTES:
            raise InvalidGraph("is larger than an ONNX file can be (2 GiB)")
        raw = stream.read()
    model = _decoded(onnx, raw)
    if not model.graph.node or not model.opset_import:
        raise InvalidGraph("holds no graph: it is truncated, damaged or no ONNX file")
    return raw, model


def _decoded(onnx: Any, raw: bytes) -> Any:
    """Return the ModelProto in these bytes. Raises InvalidGraph unless all its texts are UTF-8."""
    damaged = "is truncated, damaged or no ONNX file"
    try:
        model = onnx.load_model_from_string(raw)
    except Exception:  # protobuf's DecodeError has no stable name
        raise InvalidGraph(damaged) from None
    graph = model.graph
    entries = [*model.metadata_props, *(entry for tensor in _tensors(graph) for entry in tensor.external_data)]
    texts = [text for entry in entries for text in (entry.key, entry.value)]
    texts += [entry.name for entry in (*graph.input, *graph.output, *_tensors(graph))]
    for node in graph.node:
        texts += [node.name, node.op_type, node.domain, *node.input, *node.output]
        texts += [attribute.name for attribute in node.attribute]
    if not all(isinstance(text, str) for text in texts):  # protobuf gives bytes where a text is not UTF-8
        raise InvalidGraph(damaged)
    return model


def _check_nodes(onnx: Any, model: Any) -> None:
    """Refuse other graphs and operators that are not ONNX's own."""
    if model.functions or model.training_info:
        raise InvalidGraph("contains functions or training graphs; a network of standard operators is needed")
    if len(model.graph.node) > MAX_NODES:
        raise InvalidGraph(f"has {len(model.graph.node)} nodes, more than {MAX_NODES}")
    for number, node in enumerate(model.graph.node):
        where = f"node {number} ({node.name:.60})"
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise InvalidGraph(f"{where}: {node.op_type:.40} contains another graph (control flow), which is refused")
        if node.domain not in DOMAINS:
            raise InvalidGraph(f"{where}: {node.op_type:.40} is of the domain {node.domain:.40}, not a standard one")
        if not onnx.defs.has(node.op_type):
            raise InvalidGraph(f"{where}: {node.op_type!r:.40} is not an operator of ONNX")


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield every tensor that a graph without inner graphs stores."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors, attribute.sparse_tensor.values)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _external_files(model: Any, path: str) -> List[str]:
    """Return the paths of the external data. Raises InvalidGraph unless they are files beside `path`."""
    folder, files = os.path.dirname(os.path.abspath(path)), set()
    for tensor in _tensors(model.graph):
        if not tensor.external_data and tensor.data_location != tensor.EXTERNAL:
            continue
        words = {entry.key: entry.value for entry in tensor.external_data}
        name = words.get("location", "")
        external = os.path.join(folder, name)
        if not name or name != os.path.basename(name) or os.path.islink(external):
            raise InvalidGraph(f"refers to data in {name!r:.80}; external data must be a file beside it")
        if not os.path.isfile(external):
            raise InvalidGraph(f"refers to data in {name:.80}, and there is no such file beside it")
        offset, length = (_whole(words.get(key, "0")) for key in ("offset", "length"))
        if offset < 0 or length < 0 or offset + length > os.path.getsize(external):
            raise InvalidGraph(
                f"{tensor.name:.60}: its data lies outside {name:.80}, which is truncated or another file"
            )
        files.add(external)
    return sorted(files)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1


def _image_input(graph: Any) -> Tuple[str, Size, int]:
    """Return name, (height, width) and batch size of the only input, which takes float32 images."""
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in stored]
    if len(inputs) != 1:
        raise InvalidGraph(f"has {len(inputs)} inputs; an embedding network takes images and nothing else")
    kind = inputs[0].type.tensor_type
    axes = [axis.dim_value if axis.HasField("dim_value") else 0 for axis in kind.shape.dim]
    if kind.elem_type != 1:
        raise InvalidGraph(f"its input {inputs[0].name:.60} is not float32")
    if len(axes) != 4 or axes[1] not in (0, 3):
        raise InvalidGraph(f"its input has shape {_shape(axes)}; images are (N, 3, height, width)")
    batch, _, height, width = axes
    if height < 1 or width < 1:
        raise InvalidGraph(f"its input has shape {_shape(axes)}: height and width are open; export it for a fixed size")
    if max(height, width) > MAX_SIDE or batch < 0 or batch * 3 * math.prod((height, width)) > 1 << 28:
        raise InvalidGraph(f"its input has shape {_shape(axes)}, which is too large for crops of faces")
    return inputs[0].name, (height, width), batch


def _shape(axes: List[int]) -> str:
    return "(" + ", ".join(str(axis) if axis > 0 else "?" for axis in axes) + ")"
