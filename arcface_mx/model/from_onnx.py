"""Make an MXNet graph of a face network's ONNX file, which can be trained further.

MXNet's own importer fails on such files. This one knows the operators that IR-ResNet and
MobileFaceNet consist of. Each layer gets parameters of its own, also where the file shares equal ones.
"""

from __future__ import annotations

import contextlib
import io
import re
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple, Union

import numpy as np

from arcface_mx.model.convention import Convention, normalised
from arcface_mx.model.engines import Network
from arcface_mx.model.graph import EMBEDDING_LAYER, mxnet_reason
from arcface_mx.model.graph_check import InvalidGraph, check_graph
from arcface_mx.model.onnx_file import OnnxFile
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from mxnet.symbol import Symbol

Value = Union["Symbol", np.ndarray]
MAX_CONSTANT, MAX_FOLDED = 1 << 29, 1 << 26  # values of all parameters together; of constants in one operator
MAX_STEP = 1024  # pixels


def from_onnx(file: OnnxFile, convention: Convention) -> Network:
    """Return the graph of an ONNX file with its arrays, for RGB pixels from 0 to 255.

    Parameters
    ----------
    file : OnnxFile
    convention : Convention
        What the file takes. The MXNet graph begins with this step.

    Raises
    ------
    UserError
        If the graph has an operator, or a use of one, that this reader does not know. The message names the node.
    """
    import mxnet as mx

    try:
        # MXNet prints it where shapes do not fit.
        with mx.name.NameManager(), contextlib.redirect_stdout(io.StringIO()):
            builder = _Builder(file, convention)
            for number, node in enumerate(file.model.graph.node):
                try:
                    builder.add(node)
                except InvalidGraph as reason:
                    raise InvalidGraph(f"node {number} ({node.name:.60}, {node.op_type:.30}): {reason}") from None
            symbol = builder.embedding()
            check_graph(symbol.tojson().encode())
    except InvalidGraph as reason:
        raise UserError(f"{file.path}: {reason}") from None
    except mx.base.MXNetError as error:
        raise UserError(f"{file.path}: its shapes do not fit: {mxnet_reason(error)}") from error
    arrays = {name: mx.nd.array(value) for name, value in builder.arrays.items()}
    arguments = {name: arrays[name] for name in symbol.list_arguments() if name != "data"}
    states = {name: arrays[name] for name in symbol.list_auxiliary_states()}
    return Network(symbol, arguments, states, "data", file.size, file.path)


class _Builder:
    """The values of an ONNX graph, by name: Symbols, and arrays where they do not depend on the image."""

    def __init__(self, file: OnnxFile, convention: Convention) -> None:
        import mxnet as mx

        self.mx, self._output = mx, file.model.graph.output[0].name
        if len(file.model.graph.output) != 1:
            raise InvalidGraph(f"has {len(file.model.graph.output)} outputs; an embedding network has one")
        self.values: Dict[str, Value] = {tensor.name: _array(tensor) for tensor in file.model.graph.initializer}
        self.values[file.image] = normalised(mx.sym.Variable("data"), convention)
        self.arrays: Dict[str, np.ndarray] = {}
        self._names = {"data"}
        self._image = (1, 3) + file.size
        self.products: Dict[str, Tuple[Value, np.ndarray]] = {}  # data and weight of each MatMul
        self.attributes: Dict[str, Any] = {}
        self.node: Any = None
        self.name = ""

    def add(self, node: Any) -> None:
        """Compute a node's output from its inputs."""
        import onnx

        if not node.output:
            raise InvalidGraph("it has no output")
        missing = [name for name in node.input if name and name not in self.values]
        if missing:
            raise InvalidGraph(f"its input {missing[0]!r:.60} is not the output of a node before it")
        inputs = [self.values[name] if name else None for name in node.input]
        self.node = node
        self.name = EMBEDDING_LAYER if node.output[0] == self._output else self._unused(node.output[0])
        self.attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        constants = [value for value in inputs if isinstance(value, np.ndarray)]
        operators: Dict[str, Callable[..., Value]] = OPERATORS
        if len(constants) == len(inputs) and (inputs or node.op_type == "Constant"):
            operators = CONSTANT_OPERATORS
            if sum(value.size for value in constants) > MAX_FOLDED:
                raise InvalidGraph("its constants are too large")
        if node.op_type not in operators:
            known = ", ".join(sorted(OPERATORS))
            raise InvalidGraph(f"the operator is not one that this reader knows; it knows {known}")
        try:
            value = operators[node.op_type](self, *inputs)
            self.values[node.output[0]] = np.asarray(value) if isinstance(value, np.generic) else value
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            raise InvalidGraph(f"is not well-formed ({str(error)[:100]})") from None

    def embedding(self) -> Symbol:
        """Return the graph. Raises InvalidGraph if its output does not depend on the image."""
        value = self.values.get(self._output)
        if value is None or isinstance(value, np.ndarray):
            raise InvalidGraph("its output is not computed from the image")
        return value

    def get(self, name: str, default: Any) -> Any:
        """Return an attribute of the node."""
        return self.attributes.get(name, default)

    def shape(self, value: Symbol) -> Tuple[int, ...]:
        """Return the shape of a Symbol for one image."""
        known = {name: self.arrays[name].shape for name in value.list_arguments() if name != "data"}
        return tuple(value.infer_shape(data=self._image, **known)[1][0])

    def parameter(self, value: Optional[Value], position: int, role: str, shape: Tuple[int, ...]) -> Symbol:
        """Return a new variable with this value; `position` is that of the node's input that holds it."""
        array = np.broadcast_to(constant(value), shape).astype(np.float32)
        if not (array.size and np.isfinite(array).all()):
            raise InvalidGraph(f"its {role} is empty or holds values that are not finite")
        stored = re.sub(r"[^\w.-]", "_", self.node.input[position])
        name = self._unused(stored if stored.endswith(role) else f"{self.name}_{role}")
        self.arrays[name] = array
        if sum(array.size for array in self.arrays.values()) > MAX_CONSTANT:
            raise InvalidGraph("the parameters are too large for a face network")
        # MXNet infers the shapes of a layer's parameters, but not those of other constants.
        return self.mx.sym.Variable(name, shape=shape if role == "constant" else None)

    def _unused(self, name: str) -> str:
        """Return the name with legal characters, and a number at its end where it is taken."""
        name = unused = re.sub(r"[^\w.-]", "_", name) or "node"
        number = 1
        while unused in self._names or unused == EMBEDDING_LAYER:
            unused, number = f"{name}_{number}", number + 1
        self._names.add(unused)
        return unused


def _array(tensor: Any) -> np.ndarray:
    """Return a stored tensor; floats in float32."""
    from onnx import numpy_helper

    try:
        array = np.asarray(numpy_helper.to_array(tensor))
    except Exception:  # the package raises errors of several classes
        raise InvalidGraph(f"tensor {tensor.name!r:.60} is not well-formed") from None
    if array.dtype.kind not in "fib":
        raise InvalidGraph(f"tensor {tensor.name!r:.60} is of type {array.dtype}; face networks hold float32")
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def constant(value: Optional[Value]) -> np.ndarray:
    """Return an array. Raises InvalidGraph for what depends on the image."""
    if not isinstance(value, np.ndarray):
        raise InvalidGraph("a parameter is computed from the image or is missing")
    return value


def _scalar(value: Any) -> float:
    """Return a float32 as the shortest decimal number that stands for it."""
    return float(str(np.float32(np.ravel(value)[0])))


def _convolution(b: _Builder, data: Symbol, weight: Value, bias: Optional[Value] = None) -> Symbol:
    kernels = constant(weight)
    if kernels.ndim != 4 or b.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise InvalidGraph("the convolution is not one of two dimensions with stated padding")
    top, left, bottom, right = b.get("pads", [0, 0, 0, 0]) if b.get("auto_pad", b"") != b"VALID" else [0, 0, 0, 0]
    if (top, left) != (bottom, right) and max(abs(pad) for pad in (top, left, bottom, right)) <= MAX_STEP:
        padding = (0, 0, 0, 0, top, bottom, left, right)
        data, top, left = b.mx.sym.Pad(data, mode="constant", pad_width=padding, name=b.name + "_pad"), 0, 0
    steps = [*b.get("strides", ()), *b.get("dilations", ()), b.get("group", 1)]
    if not all(0 < step <= MAX_STEP for step in steps) or not all(0 <= pad <= MAX_STEP for pad in (top, left)):
        raise InvalidGraph("its strides, dilations, groups or padding are out of range")
    arguments = {"weight": b.parameter(kernels, 1, "weight", kernels.shape)}
    if bias is not None:
        arguments["bias"] = b.parameter(bias, 2, "bias", (len(kernels),))
    return b.mx.sym.Convolution(
        data,
        num_filter=len(kernels),
        kernel=kernels.shape[2:],
        stride=tuple(b.get("strides", (1, 1))),
        dilate=tuple(b.get("dilations", (1, 1))),
        pad=(top, left),
        num_group=b.get("group", 1),
        no_bias=bias is None,
        name=b.name,
        **arguments,
    )


def _batchnorm(b: _Builder, data: Symbol, *values: Value) -> Symbol:
    if b.get("training_mode", 0) or not b.get("spatial", 1) or len(values) != 4:
        raise InvalidGraph("this form of BatchNormalization is not one of inference")
    roles, shape = ("gamma", "beta", "moving_mean", "moving_var"), constant(values[0]).shape
    arguments = {role: b.parameter(value, n, role, shape) for n, (role, value) in enumerate(zip(roles, values), 1)}
    settings = {"eps": _scalar(b.get("epsilon", 1e-5)), "momentum": _scalar(b.get("momentum", 0.9))}
    return b.mx.sym.BatchNorm(data, fix_gamma=False, name=b.name, **settings, **arguments)


def _prelu(b: _Builder, data: Symbol, slope: Value) -> Symbol:
    gamma = b.parameter(constant(slope).ravel(), 1, "gamma", (b.shape(data)[1],))
    return b.mx.sym.LeakyReLU(data, gamma=gamma, act_type="prelu", name=b.name)


def _dense(b: _Builder, data: Value, weight: np.ndarray, bias: Optional[Value], position: int = 2) -> Symbol:
    """Build a fully connected layer; `weight` is (outputs, inputs)."""
    arguments = {"weight": b.parameter(weight, 1, "weight", weight.shape)}
    if bias is not None:
        arguments["bias"] = b.parameter(np.ravel(constant(bias)), position, "bias", (len(weight),))
    settings = {"num_hidden": len(weight), "no_bias": bias is None, "flatten": True}
    return b.mx.sym.FullyConnected(data, name=b.name, **settings, **arguments)


def _gemm(b: _Builder, data: Symbol, weight: Value, bias: Optional[Value] = None) -> Symbol:
    if b.get("transA", 0) or constant(weight).ndim != 2:
        raise InvalidGraph("the product is not one of images and a matrix")
    weights = constant(weight) if b.get("transB", 0) else constant(weight).T
    if bias is not None:
        bias = constant(bias) * np.float32(b.get("beta", 1.0))
    return _dense(b, data, weights * np.float32(b.get("alpha", 1.0)), bias if bias is not None and bias.any() else None)


def _matmul(b: _Builder, data: Symbol, weight: Value) -> Symbol:
    if constant(weight).ndim != 2 or len(b.shape(data)) != 2:
        raise InvalidGraph("the product is not one of images and a matrix")
    b.products[b.node.output[0]] = data, constant(weight).T
    return _dense(b, data, constant(weight).T, None)


def _arithmetic(operator: str) -> Callable[..., Symbol]:
    """Return the builder of Add, Sub, Mul, Div, Max or Min."""
    scalar = {
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul": lambda x, y: x * y,
        "div": lambda x, y: x / y,
    }

    def build(b: _Builder, left: Value, right: Value) -> Symbol:
        single = {"maximum": b.mx.sym.maximum, "minimum": b.mx.sym.minimum, **scalar}[operator]
        pair: List[Any] = [left, right]
        for place, value in enumerate(pair):
            if not isinstance(value, np.ndarray):
                continue
            other = pair[1 - place]
            if operator == "add" and b.node.input[1 - place] in b.products:  # a MatMul with its bias
                data, weight = b.products[b.node.input[1 - place]]
                if value.size == len(weight):
                    return _dense(b, data, weight, value, place)
            if value.size and (value == value.ravel()[0]).all() and value.ndim <= len(b.shape(other)):
                pair[place] = _scalar(value)
                return single(*pair)
            shape = (1,) * (len(b.shape(other)) - value.ndim) + value.shape
            pair[place] = b.parameter(value.reshape(shape), place, "constant", shape)
        is_constant = isinstance(left, np.ndarray) or isinstance(right, np.ndarray)
        form = "broadcast_" if is_constant or operator not in scalar or b.shape(left) != b.shape(right) else "elemwise_"
        return getattr(b.mx.sym, form + operator)(*pair, name=b.name)

    return build


def _clip(b: _Builder, data: Symbol, low: Optional[Value] = None, high: Optional[Value] = None) -> Symbol:
    least = b.get("min", -3.4e38) if low is None else constant(low)
    most = b.get("max", 3.4e38) if high is None else constant(high)
    return b.mx.sym.clip(data, a_min=_scalar(least), a_max=_scalar(most), name=b.name)


def _reshape(b: _Builder, data: Symbol, shape: Value) -> Symbol:
    """Build a reshaping that keeps the axis of images, usually a flattening."""
    axes, target = b.shape(data), [int(length) for length in constant(shape)]
    rest = [axes[n] if length == 0 else length for n, length in enumerate(target)][1:]
    values = int(np.prod(axes[1:]))
    if -1 in rest:
        rest[rest.index(-1)] = values // max(1, -int(np.prod(rest)))
    if not rest or min(rest) < 1 or int(np.prod(rest)) != values:
        raise InvalidGraph(f"a reshaping from {axes} to {tuple(target)} mixes images")
    if len(rest) == 1:
        return b.mx.sym.Flatten(data, name=b.name)
    return b.mx.sym.Reshape(data, shape=(0, *rest), name=b.name)


def _flatten(b: _Builder, data: Symbol) -> Symbol:
    if b.get("axis", 1) != 1:
        raise InvalidGraph("a flattening from another axis than 1 mixes images")
    return b.mx.sym.Flatten(data, name=b.name)


def _transpose(b: _Builder, data: Symbol) -> Symbol:
    axes = range(len(b.shape(data)))
    order = tuple(b.get("perm", axes[::-1]))
    if sorted(order) != list(axes) or order[0] != 0:
        raise InvalidGraph("a transposition that moves the axis of images, or is none")
    return b.mx.sym.transpose(data, axes=order, name=b.name)


def _shape(b: _Builder, data: Symbol) -> np.ndarray:
    return np.array((0,) + b.shape(data)[1:])  # 0 lets a Reshape keep the number of images


def _same(b: _Builder, data: Value, *rest: object) -> Value:
    return data


OPERATORS: Dict[str, Callable[..., Value]] = {
    "Conv": _convolution,
    "BatchNormalization": _batchnorm,
    "PRelu": _prelu,
    "Relu": lambda b, data: b.mx.sym.Activation(data, act_type="relu", name=b.name),
    "Clip": _clip,
    "Gemm": _gemm,
    "MatMul": _matmul,
    **{name: _arithmetic(name.lower()) for name in ("Add", "Sub", "Mul", "Div")},
    "Max": _arithmetic("maximum"),
    "Min": _arithmetic("minimum"),
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "GlobalAveragePool": lambda b, data: b.mx.sym.Pooling(
        data, global_pool=True, pool_type="avg", kernel=(1, 1), name=b.name
    ),
    "Shape": _shape,
    **dict.fromkeys(("Identity", "Dropout"), _same),
}
# Of values that do not depend on the image, such as the shape for a Reshape.
CONSTANT_OPERATORS: Dict[str, Callable[..., np.ndarray]] = {
    "Constant": lambda b: _array(b.attributes["value"]),
    "Gather": lambda b, data, indices: np.take(data.reshape(len(data)), indices),  # of a shape, which has one axis
    "Concat": lambda b, *parts: np.concatenate([np.atleast_1d(part) for part in parts], b.get("axis", 0)),
    "Unsqueeze": lambda b, data, axes=None: np.expand_dims(data, tuple(b.attributes["axes"] if axes is None else axes)),
    "Transpose": lambda b, data: np.transpose(data, b.get("perm", None)),
    **dict.fromkeys(("Identity", "Cast"), _same),
}
