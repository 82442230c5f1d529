"""Centres split over processes: loss, outputs, gradients and momentum of one device. Processes are threads here."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.parallel.assemble import blocks
from arcface_mx.parallel.communicator import Communicator
from arcface_mx.util.mx_module import module_arrays
from tests.parallel.test_centre_module import HEADS
from tests.support.modules import assert_equal, batch, embedding, make_loss, one_device, outputs, prepared, values
from tests.support.thread_communicator import run

OPTIMIZER = {"learning_rate": 0.1, "momentum": 0.9, "wd": 0.01, "rescale_grad": 1.0}


def part_of(whole, rank, size):
    """A rank's rows of a batch."""
    rows = slice(rank * whole.label[0].shape[0] // size, (rank + 1) * whole.label[0].shape[0] // size)
    return mx.io.DataBatch([array[rows] for array in whole.data], [array[rows] for array in whole.label])


def train(loss, classes, width, labels, start, communicator, devices, steps):
    """Outputs of each step, then all parameters and momenta, of one rank."""
    from arcface_mx.parallel.centre_module import CentreParallelModule

    contexts = [mx.cpu(device) for device in range(devices)]
    module = CentreParallelModule(embedding(width), loss, classes, contexts, communicator=communicator)
    prepared(module, loss, len(labels) // communicator.size, start, optimizer=OPTIMIZER)
    found = []
    for step in range(steps):
        module.forward_backward(part_of(batch(loss, labels, step), communicator.rank, communicator.size))
        found.append(outputs(module))
        # The backbone's gradients, which HorovodStore adds.
        for arrays in module_arrays(module.body).gradients:
            mean = communicator.all_reduce(
                "gradient", mx.nd.add_n(*[array.as_in_context(mx.cpu(0)) for array in arrays]) / devices
            )
            for array in arrays:
                mean.copyto(array)
        module.update()
    momentum = {name: array.asnumpy() for name, array in module.read_momentum().items()}
    return found, values(module), momentum


def start_of(loss, classes, width, images):
    module = prepared(one_device(loss, classes, width), loss, images)
    return module, module.get_params()[0]


def compare(loss, classes, width, labels, size, devices=1, steps=1):
    one, start = start_of(loss, classes, width, len(labels))
    one.init_optimizer("device", "sgd", OPTIMIZER, force_init=True)
    expected = []
    for step in range(steps):
        one.forward_backward(batch(loss, labels, step))
        expected.append(outputs(one))
        one.update()
    parts = run(size, lambda communicator: train(loss, classes, width, labels, start, communicator, devices, steps))
    for step in range(steps):
        joined = {number: np.concatenate([part[0][step][number] for part in parts]) for number in expected[step]}
        assert_equal(joined, expected[step])
    assert_equal(parts[0][1], values(one))
    assert set(parts[0][2]) == {name for name in values(one) if name.startswith("fc7")}
    for _, own, momentum in parts[1:]:  # no rank but 0 gets the centres
        assert set(own) == {"fc1_weight", "fc1_bias"} and not momentum
        assert_equal(own, {name: value for name, value in values(one).items() if name in own})


@pytest.mark.parametrize("name", HEADS)
def test_every_head_over_an_uneven_split(name):
    compare(make_loss(**dict({"scale": 16.0}, **HEADS[name])), 11, 8, [0, 0, 10, 3, 3, 5], 3)


@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 0], [9, 8, 9, 9], [4, 4, 4, 4]], ids=["first rank", "last rank", "one class"]
)
def test_labels_in_one_process_only(labels):
    compare(make_loss(scale=64.0, intra_weight=1.0, inter_weight=1.0), 10, 8, labels, 2)


def test_several_steps_with_momentum_and_weight_decay():
    compare(make_loss(scale=16.0, inter_weight=1.0), 11, 8, [0, 0, 10, 3, 3, 5], 2, steps=4)
    compare(make_loss(loss="softmax"), 11, 8, [0, 0, 10, 3, 3, 5], 3, steps=3)


def test_logits_far_apart_stay_finite():
    """One process's softmax share underflows to nothing."""
    compare(make_loss(loss="softmax", scale=1.0), 6, 8, [0, 0, 1, 1], 2)
    loss = make_loss(loss="norm_softmax", scale=500.0)
    compare(loss, 6, 8, [0, 5, 1, 4], 2)


def test_processes_with_several_devices_each():
    compare(
        make_loss(scale=16.0, intra_weight=1.0, inter_weight=1.0),
        11,
        8,
        [0, 0, 10, 3, 3, 5, 7, 1],
        2,
        devices=2,
        steps=1,
    )


def test_a_label_that_is_no_class_is_refused_in_every_process():
    from arcface_mx.util.errors import UserError

    with pytest.raises(UserError, match="label 6"):
        run(2, lambda communicator: train(make_loss(), 6, 8, [0, 6], None, communicator, 1, 1))


def test_alone_nothing_passes():
    array = mx.nd.arange(6).reshape((3, 2))
    alone = Communicator()
    for found in (
        alone.all_gather("a", array),
        alone.all_reduce("a", array),
        alone.reduce_scatter("a", array),
        alone.broadcast(0, "a", array),
    ):
        assert found is array


def test_blocks_cover_the_rows():
    assert list(blocks(3, 10, row_size=4, limit=12)) == [(3, 6), (6, 9), (9, 10)]
    assert list(blocks(0, 2, row_size=100, limit=12)) == [(0, 1), (1, 2)]
