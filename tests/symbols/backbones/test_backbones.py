"""One battery over every backbone, and what is special about single ones."""

from __future__ import annotations

import json
import sys
from typing import Any, Dict, Tuple

import mxnet as mx
import numpy as np
import pytest
from mxnet.symbol import Symbol

from arcface_mx.symbols import backbone, backbone_names, iresnet, mobilefacenet
from tests.support import reference_networks
from tests.support.graph import assert_close, run

DATA = mx.sym.Variable("data")

# Small forms: name -> arguments of `backbone`. A new backbone: one entry here.
BACKBONES: Dict[str, Dict[str, Any]] = {
    "iresnet18": {"width": 0.06, "input_size": 32},
    "iresnet34": {"width": 0.06, "input_size": 20},
    "iresnet50": {"width": 0.06, "input_size": 16},
    "iresnet100": {"width": 0.06, "input_size": 16, "units": (1, 1)},
    "mobilefacenet": {"width": 0.06, "input_size": 32},
    "gluoncv:resnet18_v1b": {"input_size": 32},
    "gluoncv:squeezenet1.1": {"input_size": 32},
    "gluoncv:cifar_resnet20_v1": {"input_size": 32},
}
EVERY_BACKBONE = pytest.mark.parametrize("name", sorted(BACKBONES))
# In float64. The standard PReLU operator computes in float32 even on float64 arrays.
EXACT = {True: 1e-10, False: 1e-6}
EVERY_FORM = pytest.mark.parametrize("fast", [False, True], ids=["standard", "fast_prelu"])


def build(name: str, **more: Any) -> Symbol:
    return backbone(name, DATA, embedding_size=8, **{**BACKBONES[name], **more})


def numbers(symbol: Symbol, shape: Tuple[int, ...], seed: int = 0) -> Tuple[Dict, Dict]:
    """Pixels and small random parameters; moving statistics near those of the data."""
    random = np.random.RandomState(seed)
    shapes, _, aux_shapes = symbol.infer_shape(data=shape)
    values = {}
    for name, size in zip(symbol.list_arguments(), shapes):
        fan_in = max(1, int(np.prod(size[1:])))
        values[name] = random.randn(*size) / np.sqrt(fan_in) if len(size) > 1 else random.uniform(0.5, 1.5, size)
    values["data"] = random.randint(0, 256, shape).astype(float)
    aux = {
        name: random.uniform(0.5, 1.5, size) if name.endswith("var") else 0.1 * random.randn(*size)
        for name, size in zip(symbol.list_auxiliary_states(), aux_shapes)
    }
    return values, aux


@pytest.mark.parametrize(
    "name, fast", [(name, fast) for name in sorted(BACKBONES) for fast in (False, True) if ":" not in name or not fast]
)
@pytest.mark.parametrize("batch", [1, 3])
def test_embedding_is_finite_named_fc1_and_of_the_asked_size(name: str, fast: bool, batch: int) -> None:
    symbol = build(name, fast_prelu=fast)
    assert symbol.list_outputs() == ["fc1_output"]
    assert symbol.list_arguments()[0] == "data"
    size = BACKBONES[name]["input_size"]
    values, aux = numbers(symbol, (batch, 3, size, size))
    assert run(symbol, values, train=False, aux=aux)[0][0].shape == (batch, 8)
    outputs, gradients = run(symbol, values, cotangent=np.random.RandomState(1).randn(batch, 8), aux=aux)
    for what, array in [("embedding", outputs[0]), *gradients.items()]:
        assert np.isfinite(array).all(), what


@EVERY_BACKBONE
def test_embeddings_of_a_batch_are_those_of_single_images(name: str) -> None:
    symbol = build(name)
    size = BACKBONES[name]["input_size"]
    values, aux = numbers(symbol, (3, 3, size, size))
    together = run(symbol, values, train=False, aux=aux)[0][0]
    alone = [run(symbol, {**values, "data": image[None]}, train=False, aux=aux)[0][0][0] for image in values["data"]]
    assert np.abs(together[0] - together[1]).max() > 1e-3
    assert_close(np.array(alone), together, 1e-4)


@pytest.mark.slow
@EVERY_BACKBONE
def test_gradient_is_the_slope_of_the_graph_itself(name: str) -> None:
    """Finite differences along a random direction of all parameters, moving statistics frozen."""
    symbol = build(name, dropout=0.0, frozen_batchnorm=True, fast_prelu=True)
    size = BACKBONES[name]["input_size"]
    values, aux = numbers(symbol, (1, 3, size, size))
    random = np.random.RandomState(2)
    along = {key: random.randn(*value.shape) for key, value in values.items() if key != "data"}
    cotangent, step, ends = random.randn(1, 8), 1e-8, []
    _, gradients = run(symbol, values, "float64", cotangent, aux=aux)
    for h in (step, -step):
        moved = {key: value + h * along.get(key, 0.0) for key, value in values.items()}
        ends.append(np.sum(cotangent * run(symbol, moved, "float64", train=False, aux=aux)[0][0]))
    slope = sum(np.sum(gradients[key] * way) for key, way in along.items())
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4)


@EVERY_BACKBONE
def test_names_are_the_same_each_time_and_survive_json(name: str) -> None:
    first, second = build(name), build(name)
    assert first.list_arguments() == second.list_arguments()
    assert first.list_auxiliary_states() == second.list_auxiliary_states()
    assert len(set(first.list_arguments())) == len(first.list_arguments())
    assert mx.sym.load_json(first.tojson()).tojson() == first.tojson()


@EVERY_BACKBONE
def test_frozen_batchnorm_uses_moving_statistics_everywhere(name: str) -> None:
    for frozen in (False, True):
        nodes = json.loads(build(name, frozen_batchnorm=frozen).tojson())["nodes"]
        flags = [node["attrs"].get("use_global_stats", "False") for node in nodes if node["op"] == "BatchNorm"]
        assert len(flags) >= 2 and set(flags) == {str(frozen)}


@EVERY_FORM
def test_iresnet_equals_reference(fast: bool) -> None:
    units = (2, 1, 1, 1)
    symbol = iresnet(DATA, embedding_size=6, width=0.06, units=units, input_size=18, fast_prelu=fast)
    values, aux = numbers(symbol, (2, 3, 18, 18))
    found = run(symbol, values, "float64", train=False, aux=aux)[0][0]
    assert_close(found, reference_networks.iresnet(values["data"], {**values, **aux}, units), EXACT[fast])


@pytest.mark.parametrize("units", [(1, 4, 6, 2), (2, 1, 2, 1)])
@EVERY_FORM
def test_mobilefacenet_equals_reference(fast: bool, units: Tuple[int, ...]) -> None:
    symbol = mobilefacenet(DATA, 6, width=0.06, input_size=36, fast_prelu=fast, units=units)
    values, aux = numbers(symbol, (2, 3, 36, 36))
    found = run(symbol, values, "float64", train=False, aux=aux)[0][0]
    expected = reference_networks.mobilefacenet(values["data"], {**values, **aux}, units)
    assert_close(found, expected, EXACT[fast])


@pytest.mark.parametrize(
    "units, size, parameters", [(None, 128, 1_003_264), ((2, 8, 16, 4), 256, 1_996_288)], ids=["y1", "y2"]
)
def test_full_size_mobilefacenet_has_the_published_number_of_parameters(units, size: int, parameters: int) -> None:
    """InsightFace's y1 and y2, with their embedding sizes."""
    symbol = backbone("mobilefacenet", DATA, units=units, embedding_size=size)
    shapes, _, _ = symbol.infer_shape(data=(1, 3, 112, 112))
    assert sum(int(np.prod(shape)) for shape in shapes) - 3 * 112 * 112 == parameters


@pytest.mark.parametrize(
    "name, millions", [("iresnet18", 24.03), ("iresnet34", 34.14), ("iresnet50", 43.59), ("iresnet100", 65.16)]
)
def test_full_size_iresnet_has_the_published_number_of_parameters(name: str, millions: float) -> None:
    symbol = backbone(name, DATA)
    shapes, outputs, _ = symbol.infer_shape(data=(1, 3, 112, 112))
    assert outputs == [(1, 512)]
    assert (sum(int(np.prod(shape)) for shape in shapes) - 3 * 112 * 112) / 1e6 == pytest.approx(millions, abs=0.005)
    stages = symbol.get_internals()
    _, sizes, _ = stages["stage4_unit1_plus_output"].infer_shape(data=(1, 3, 112, 112))
    assert sizes == [(1, 512, 7, 7)]


def test_iresnet_has_the_names_of_published_models() -> None:
    """Written from the layout of InsightFace's r50, not from our builder."""
    unit = "bn1_gamma bn1_beta conv1_weight bn2_gamma bn2_beta relu1_gamma conv2_weight bn3_gamma bn3_beta".split()
    shortcut = "conv1sc_weight sc_gamma sc_beta".split()
    expected = "data conv0_weight bn0_gamma bn0_beta relu0_gamma".split()
    for stage, count in enumerate((3, 4, 14, 3), 1):
        for number in range(1, count + 1):
            names = unit + (shortcut if number == 1 else [])
            expected += [f"stage{stage}_unit{number}_{name}" for name in names]
    expected += "bn1_gamma bn1_beta pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta".split()
    assert iresnet(DATA, 50).list_arguments() == expected
    assert "stage3_unit14_bn3_moving_var" in iresnet(DATA, 50).list_auxiliary_states()


# Convolutions in full size: shape of the weight, stride and padding. Written from the papers and published models.
CONVOLUTIONS = {
    "iresnet50": {
        "conv0": ((64, 3, 3, 3), 1, 1),
        "stage1_unit1_conv1": ((64, 64, 3, 3), 1, 1),
        "stage1_unit1_conv2": ((64, 64, 3, 3), 2, 1),
        "stage1_unit1_conv1sc": ((64, 64, 1, 1), 2, 0),
        "stage1_unit3_conv2": ((64, 64, 3, 3), 1, 1),
        "stage2_unit1_conv1": ((128, 64, 3, 3), 1, 1),
        "stage3_unit1_conv2": ((256, 256, 3, 3), 2, 1),
        "stage3_unit14_conv1": ((256, 256, 3, 3), 1, 1),
        "stage4_unit1_conv1sc": ((512, 256, 1, 1), 2, 0),
        "stage4_unit3_conv2": ((512, 512, 3, 3), 1, 1),
    },
    "mobilefacenet": {
        "conv_1_conv2d": ((64, 3, 3, 3), 2, 1),
        "conv_2_dw_conv2d": ((64, 1, 3, 3), 1, 1),
        "dconv_23_conv_sep_conv2d": ((128, 64, 1, 1), 1, 0),
        "dconv_23_conv_dw_conv2d": ((128, 1, 3, 3), 2, 1),
        "dconv_23_conv_proj_conv2d": ((64, 128, 1, 1), 1, 0),
        "res_3_block3_conv_dw_conv2d": ((128, 1, 3, 3), 1, 1),
        "dconv_34_conv_sep_conv2d": ((256, 64, 1, 1), 1, 0),
        "res_4_block5_conv_proj_conv2d": ((128, 256, 1, 1), 1, 0),
        "dconv_45_conv_dw_conv2d": ((512, 1, 3, 3), 2, 1),
        "res_5_block1_conv_sep_conv2d": ((256, 128, 1, 1), 1, 0),
        "conv_6sep_conv2d": ((512, 128, 1, 1), 1, 0),
        "conv_6dw7_7_conv2d": ((512, 1, 7, 7), 1, 0),
    },
}
COUNTS = {"iresnet50": 1 + 2 * 24 + 4, "mobilefacenet": 2 + 3 * (3 + 12) + 2}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_are_those_of_the_published_network(name: str) -> None:
    symbol = backbone(name, DATA)
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(1, 3, 112, 112))[0]))
    nodes = [node for node in json.loads(symbol.tojson())["nodes"] if node["op"] == "Convolution"]
    found = {
        node["name"]: (shapes[node["name"] + "_weight"], node["attrs"]["stride"], node["attrs"].get("pad", "(0, 0)"))
        for node in nodes
    }
    for layer, (shape, stride, pad) in CONVOLUTIONS[name].items():
        assert found[layer] == (shape, str((stride, stride)), str((pad, pad))), layer
    assert len(found) == COUNTS[name] and all(node["attrs"]["no_bias"] == "True" for node in nodes)
    assert shapes["pre_fc1_weight"] == (512, 512 * 7 * 7 if name == "iresnet50" else 512)


@pytest.mark.parametrize("name, eps", [("iresnet50", 2e-5), ("mobilefacenet", 1e-3)])
def test_settings_of_batchnorm_and_dropout_are_the_published_ones(name: str, eps: float) -> None:
    nodes = json.loads(backbone(name, DATA, dropout=0.4).tojson())["nodes"]
    norms = {node["name"]: node["attrs"] for node in nodes if node["op"] == "BatchNorm"}
    for layer, attributes in norms.items():
        assert float(attributes["eps"]) == (2e-5 if layer == "fc1" else eps), layer
        assert float(attributes["momentum"]) == 0.9 and attributes["use_global_stats"] == "False"
    drops = [node["attrs"] for node in nodes if node["op"] == "Dropout"]
    assert [float(drop["p"]) for drop in drops] == [0.4] and drops[0].get("mode", "training") == "training"


def test_last_gamma_is_fixed_and_input_is_normalised_in_the_graph() -> None:
    nodes = json.loads(iresnet(DATA, 18).tojson())["nodes"]
    fixed = {node["name"]: node["attrs"]["fix_gamma"] for node in nodes if node["op"] == "BatchNorm"}
    assert [name for name in fixed if fixed[name] == "True"] == ["fc1"]
    assert [(node["op"], node["attrs"]["scalar"]) for node in nodes[1:3]] == [
        ("_minus_scalar", "127.5"),
        ("_mul_scalar", "0.0078125"),
    ]


@pytest.mark.parametrize("size, left", [(112, 7), (110, 7), (113, 8), (64, 4), (33, 3)])
def test_each_stage_halves_the_input_rounding_up(size: int, left: int) -> None:
    symbol = iresnet(DATA, 18, input_size=size, width=0.1)
    _, shapes, _ = symbol.get_internals()["stage4_unit2_plus_output"].infer_shape(data=(1, 3, size, size))
    assert shapes[0][2:] == (left, left)


def test_zoo_networks_never_download(monkeypatch: pytest.MonkeyPatch) -> None:
    import gluoncv.utils.download  # noqa: F401
    import mxnet.gluon.utils

    def refuse(*arguments: object, **more: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(mxnet.gluon.utils, "download", refuse)
    monkeypatch.setattr(sys.modules["gluoncv.utils.download"], "download", refuse)
    build("gluoncv:resnet18_v1b")


@pytest.mark.slow
def test_every_zoo_name_makes_an_embedding() -> None:
    """Each family once, at 96 pixels; residual attention networks take other sizes only."""
    names = [name for name in backbone_names() if name.startswith("gluoncv:") and "attention" not in name]
    assert len(names) > 100
    families: Dict[str, str] = {}
    for name in names:
        families.setdefault(name.split("_")[0].rstrip("0123456789."), name)
    for name in families.values():
        _, outputs, _ = backbone(name, DATA, embedding_size=8, input_size=96).infer_shape(data=(2, 3, 96, 96))
        assert outputs == [(2, 8)], name


@pytest.mark.parametrize(
    "name, nearest",
    [
        ("iresnet51", "iresnet50"),
        ("resnet18_v1b", "gluoncv:resnet18_v1b"),
        ("gluoncv:resnet19_v1b", "gluoncv:resnet18_v1b"),
        ("mobilefacent", "mobilefacenet"),
        ("gluoncv:ssd_512_resnet18_v1_voc", "gluoncv:resnet18_v1"),
    ],
)
def test_unknown_backbone_is_answered_with_near_names(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}.*unknown.*{nearest}"):
        backbone(name, DATA)


@pytest.mark.parametrize(
    "name, arguments, named",
    [
        ("iresnet18", {"width": 0.0}, "width"),
        ("iresnet18", {"embedding_size": 0}, "embedding_size"),
        ("iresnet18", {"dropout": 1.0}, "dropout"),
        ("iresnet18", {"units": (1, 0)}, r"units\[1\]"),
        ("iresnet18", {"units": ()}, "units"),
        ("iresnet18", {"input_size": 0}, "input_size"),
        ("mobilefacenet", {"units": (1, 1)}, "units"),
        ("mobilefacenet", {"units": (1, 4, 0, 2)}, r"units\[2\]"),
        ("mobilefacenet", {"input_size": -3}, "input_size"),
        ("gluoncv:resnet18_v1b", {"width": 0.5}, "width"),
        ("gluoncv:dla34", {"input_size": 100}, "input_size.*multiples of 32"),
    ],
)
def test_wrong_number_is_named(name: str, arguments: Dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        backbone(name, DATA, **arguments)


def test_dropout_works_in_training_only() -> None:
    symbol = iresnet(DATA, 18, 8, width=0.06, input_size=16, dropout=0.5, frozen_batchnorm=True)
    values, aux = numbers(symbol, (1, 3, 16, 16))
    trained = [run(symbol, values, aux=aux)[0][0] for _ in range(2)]
    inferred = [run(symbol, values, train=False, aux=aux)[0][0] for _ in range(2)]
    assert (trained[0] != trained[1]).any() and (inferred[0] == inferred[1]).all()
