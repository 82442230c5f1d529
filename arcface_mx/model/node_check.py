"""Check one node of a graph, its inputs and its attributes, against MXNet's description of the operator."""

from __future__ import annotations

import math
import re
from typing import Dict, List, Optional, Sequence, Tuple

from arcface_mx.model.operators import Operator, operators

MAX_VALUES, MAX_SIZE, MAX_COUNT, MAX_AXES = 1 << 28, 1 << 24, 4096, 32

Limits = Tuple[int, int]
SIZE: Limits = (1, MAX_SIZE)
BLOCK: Limits = (1, 1 << 10)  # MXNet divides by its square, in 32 bits
PADDING: Limits = (0, MAX_SIZE)
AXIS: Limits = (-MAX_AXES, MAX_AXES - 1)
ANY: Limits = (-(1 << 63), (1 << 63) - 1)
# Whole numbers, by the names of attributes. Others must be between -MAX_SIZE and MAX_SIZE.
LIMITS: Dict[str, Limits] = {
    **dict.fromkeys("kernel stride dilate num_filter num_group num_groups num_hidden".split(), SIZE),
    **dict.fromkeys("block_size scale nsize input_dim output_dim depth repeat output_size height width".split(), SIZE),
    **dict.fromkeys("pad adj pad_width offset h_w target_shape size repeats reps N M".split(), PADDING),
    **dict.fromkeys("axis axes dim dim1 dim2 lhs_axes rhs_axes lhs_begin lhs_end rhs_begin rhs_end".split(), AXIS),
    **dict.fromkeys(("num_args", "num_outputs"), (1, MAX_COUNT)),
    **dict.fromkeys(("begin", "end"), ANY),  # "to the end" is often written as the largest number
    "sections": (0, MAX_COUNT),
    "indices": (0, MAX_SIZE),
    "workspace": (0, 1 << 40),
    "p_value": (1, 64),
    "ord": (1, 2),
    "shape": (0, MAX_SIZE),
    "__shape__": (-1, MAX_SIZE),
    "__dtype__": (-1, 12),
    "__storage_type__": (-1, 2),
}
# The same for one operator.
OWN_LIMITS: Dict[Tuple[str, str], Limits] = {
    ("UpSampling", "num_filter"): PADDING,
    ("depth_to_space", "block_size"): BLOCK,
    ("space_to_depth", "block_size"): BLOCK,
    ("topk", "k"): PADDING,
    ("Reshape", "shape"): (-4, MAX_SIZE),
    ("reshape", "shape"): (-4, MAX_SIZE),
}
NOT_ZERO = {"step"}
# Operators whose second and later inputs must be variables. MXNet does not compare the shape of anything else there
# with what the operator writes, which corrupts memory.
TAKE_VARIABLES = ("BatchNorm", "InstanceNorm")
# What MXNet reads of the attributes of a variable.
VARIABLE = {"__shape__": "Shape", "__dtype__": "int", "__storage_type__": "int"}
TRUE, FALSE = ("1", "True", "true"), ("0", "False", "false")
AUXILIARY = ("moving_mean", "moving_var")  # versions before 0.9 did not list them among the inputs


class InvalidGraph(Exception):
    """The reason why a graph is refused."""


def check_inputs(where: str, name: str, count: int, attributes: Dict[str, str]) -> None:
    """Raise InvalidGraph if the operator `name` does not take `count` inputs."""
    operator = operators()[name]
    if operator.variadic:
        stated = _whole_numbers(where, "num_args", attributes.get("num_args", str(count)))
        if stated != [count] or not count:
            raise InvalidGraph(
                f"{where}: {name} has {count} inputs, but num_args is {attributes.get('num_args')!s:.60}"
            )
        return
    needed = [part for part in operator.inputs if not _is_absent(name, part, operator, attributes)]
    allowed = {len(needed), len([part for part in needed if part not in AUXILIARY])}
    if count not in allowed:
        raise InvalidGraph(f"{where}: {name} has {count} inputs, but needs {len(needed)} ({', '.join(needed)})")


def check_variables(where: str, name: str, are_variables: Sequence[bool]) -> None:
    """Raise InvalidGraph if an input that must be a variable is something else."""
    if name in TAKE_VARIABLES and not all(are_variables[1:]):
        names = " and ".join(operators()[name].inputs[1:])
        raise InvalidGraph(f"{where}: {names} of {name} must be variables, and one is the output of another node")


def _is_absent(name: str, part: str, operator: Operator, attributes: Dict[str, str]) -> bool:
    """Return whether the attributes say that the operator does without its input `part`."""
    if part == "bias":
        default = operator.attributes["no_bias"].rpartition("default=")[2]
        return _is_true(attributes.get("no_bias", default))
    if name == "LeakyReLU" and part == "gamma":
        return attributes.get("act_type", "leaky") != "prelu"
    if name in ("softmax", "log_softmax", "softmin") and part == "length":
        return not _is_true(attributes.get("use_length", "0"))
    return name == "_contrib_BilinearResize2D" and part == "like" and attributes.get("mode", "size") != "like"


def num_outputs(where: str, name: str, attributes: Dict[str, str]) -> int:
    """Return the number of outputs that other nodes may use."""
    if name in ("SliceChannel", "split"):
        return _whole_numbers(where, "num_outputs", attributes.get("num_outputs", ""))[0]
    if name == "_split_v2":
        indices = _whole_numbers(where, "indices", attributes.get("indices", ""))
        return max(_whole_numbers(where, "sections", attributes.get("sections", "0"))[0], len(indices), 1)
    if name == "topk":
        return 2 if attributes.get("ret_typ") == "both" else 1
    if name == "moments":
        return 2
    return 3 if _is_true(attributes.get("output_mean_var", "0")) else 1


def check_attributes(where: str, name: str, attributes: Dict[str, str]) -> None:
    """Raise InvalidGraph if an attribute is missing or has a value that MXNet must not read."""
    kinds = VARIABLE if name == "null" else operators()[name].attributes
    for key, kind in kinds.items():
        if key in attributes:
            _check_attribute(where, name, key, kind, attributes[key])
        elif "required" in kind:
            raise InvalidGraph(f"{where}: {name} has no {key}")
    for key in set(attributes) - set(kinds):
        value = attributes[key]
        if any(len(digits) > 18 for digits in re.findall(r"(?<![.\d])\d+(?![.\d])", value)) and "." not in value:
            raise InvalidGraph(f"{where}: {key:.40} is {value:.60}")


def _check_attribute(where: str, name: str, key: str, kind: str, value: str) -> None:
    """Check the value of an attribute, whose type MXNet describes as `kind`."""
    if "None" in kind.split("default=")[0] and value == "None":
        return
    if kind.startswith("{"):
        choices = re.findall(r"'([^']*)'", kind.partition("}")[0])
        if value not in choices:
            raise InvalidGraph(f"{where}: {key} is {value!r:.60}, not one of {', '.join(choices)}")
    elif kind.startswith("boolean"):
        if value not in TRUE + FALSE:
            raise InvalidGraph(f"{where}: {key} is {value!r:.60}, not true or false")
    elif kind.startswith(("float", "double")):
        _check_number(where, key, value)
    elif kind.startswith("string"):
        if not re.fullmatch(r"((cpu|gpu)\([0-9]{1,2}\))?", value):
            raise InvalidGraph(f"{where}: {key} is {value!r:.60}, not the name of a device")
    else:
        _check_whole_numbers(where, name, key, value, is_tuple=kind.startswith("Shape"))


def _check_number(where: str, key: str, value: str) -> None:
    try:
        valid = len(value) < 400 and not math.isnan(float(value)) and "_" not in value
    except ValueError:
        valid = False
    if not valid:
        raise InvalidGraph(f"{where}: {key} is {value!r:.60}, not a number")


def _check_whole_numbers(where: str, name: str, key: str, value: str, is_tuple: bool) -> None:
    numbers = _whole_numbers(where, key, value)
    low, high = OWN_LIMITS.get((name, key), LIMITS.get(key, (-MAX_SIZE, MAX_SIZE)))
    for number in numbers:
        if not low <= number <= high or (key in NOT_ZERO and not number):
            beside = ", and not 0" if key in NOT_ZERO else ""
            raise InvalidGraph(f"{where}: {key} is {value:.60}; it must be between {low} and {high}{beside}")
    limit = (MAX_COUNT if key == "indices" else MAX_AXES) if is_tuple else 1
    if key == "target_shape" and name in ("Reshape", "reshape") and any(numbers):
        raise InvalidGraph(f"{where}: target_shape is of MXNet before 0.9, which did not check it; use shape")
    if len(numbers) > limit or (not is_tuple and not numbers):
        raise InvalidGraph(f"{where}: {key} is {value:.60}, which is {len(numbers)} numbers")
    if key in ("shape", "__shape__", "reps", "target_shape", "size"):
        if math.prod(max(1, number) for number in numbers) > MAX_VALUES:
            raise InvalidGraph(f"{where}: {key} is {value:.60}: more than {MAX_VALUES} values")
    if low == -4:
        _check_splits(where, value, numbers)


def _check_splits(where: str, value: str, numbers: List[int]) -> None:
    """Check that each -4 of a reshape, which splits an axis in two, is followed by the lengths of both."""
    place = 0
    while place < len(numbers):
        if numbers[place] == -4:
            parts = numbers[place + 1 : place + 3]
            if len(parts) < 2 or parts == [-1, -1] or any(part != -1 and part < 1 for part in parts):
                raise InvalidGraph(f"{where}: shape is {value:.60}; two lengths must follow -4, at most one of them -1")
            place += 2
        place += 1


def _whole_numbers(where: str, key: str, value: str) -> List[int]:
    """Return the numbers of a value such as (3, 3), [3,3], (3L,) or 3; None, in a tuple, is left out."""
    parts = [part for part in re.split(r"[\sL,]+", value.strip("()[] \t\n")) if part and part != "None"]
    if not all(re.fullmatch(r"-?[0-9]{1,19}", part) for part in parts):
        raise InvalidGraph(f"{where}: {key} is {value!r:.60}, not whole numbers")
    if key in ("num_outputs", "num_args", "sections") and len(parts) != 1:
        raise InvalidGraph(f"{where}: {key} is {value!r:.60}, not a whole number")
    return [int(part) for part in parts]


def _is_true(value: Optional[str]) -> bool:
    return value in TRUE
