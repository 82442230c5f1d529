"""The adapter to Module's private names fits the installed MXNet."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.util.mx_module import (
    MXNET_VERSION,
    all_reduce_gradients,
    batch_slices,
    module_arrays,
    module_contexts,
    read_parameters,
    set_updater_state,
    update_with_sums,
    updater_names,
    updater_states,
)


@pytest.fixture
def module():
    """A bound Module on two devices, after one step."""
    net = mx.sym.BatchNorm(mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc"), name="bn")
    module = mx.mod.Module(mx.sym.MakeLoss(net), ["data"], None, context=[mx.cpu(0), mx.cpu(1)])
    module.bind([("data", (4, 5))])
    module.init_params(mx.init.One())
    module.init_optimizer("device", "sgd", {"learning_rate": 0.1, "momentum": 0.9})
    module.forward_backward(mx.io.DataBatch([mx.nd.arange(20).reshape((4, 5))]))
    module.update()
    return module


def test_the_adapter_is_written_for_the_installed_mxnet():
    assert mx.__version__ == MXNET_VERSION


def test_arrays_are_those_of_each_parameter_and_device(module):
    arrays = module_arrays(module)
    assert arrays.names == ["fc_weight", "fc_bias", "bn_gamma", "bn_beta"]
    shapes = [(3, 5), (3,), (3,), (3,)]
    for group in (arrays.parameters, arrays.gradients):
        assert [[array.shape for array in copies] for copies in group] == [[shape] * 2 for shape in shapes]
        assert all([array.context for array in copies] == [mx.cpu(0), mx.cpu(1)] for copies in group)
    assert [[array.shape for array in copies] for copies in arrays.auxiliary] == [[(3,)] * 2] * 2
    assert len(arrays.executors) == 2
    arrays.parameters[0][0][:] = 7.0  # not a copy
    assert (arrays.executors[0].arg_dict["fc_weight"].asnumpy() == 7.0).all()


def test_devices_and_rows(module):
    assert module_contexts(module) == [mx.cpu(0), mx.cpu(1)]
    assert batch_slices(module) == [slice(0, 2), slice(2, 4)]


def test_the_states_of_the_optimizer_are_read_and_set_by_index(module):
    names, states = updater_names(module), updater_states(module)
    assert names == dict(enumerate(name for name in module_arrays(module).names for _ in range(2)))
    assert set(states) == set(names) and states[0].shape == (3, 5)
    set_updater_state(module, 1, mx.nd.ones((3, 5), mx.cpu(1)))
    before = module_arrays(module).parameters[0][1].asnumpy()
    for copies in module_arrays(module).gradients:
        for array in copies:
            array[:] = 0.0
    module.update()
    np.testing.assert_allclose(module_arrays(module).parameters[0][1].asnumpy(), before + 0.9, rtol=1e-6)


def test_gradients_are_summed_over_the_devices_once(module):
    arrays = module_arrays(module)
    before = [array.asnumpy() for array in arrays.parameters[0]]
    for device, array in enumerate(arrays.gradients[0]):
        array[:] = device + 1.0
    for copies in updater_states(module).values():
        copies[:] = 0.0
    all_reduce_gradients(module)
    assert all((array.asnumpy() == 3.0).all() for array in arrays.gradients[0])
    update_with_sums(module, module)
    rate = module._optimizer.lr * module._optimizer.rescale_grad
    for array, old in zip(arrays.parameters[0], before):
        np.testing.assert_allclose(array.asnumpy(), old - rate * 3.0, rtol=1e-6)
    module.update()  # it sums again afterwards
    assert all((array.asnumpy() == 6.0).all() for array in arrays.gradients[0])


def test_parameters_of_eight_devices_are_those_of_the_first_bit_for_bit():
    net = mx.sym.BatchNorm(mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=64, name="fc"), name="bn")
    module = mx.mod.Module(mx.sym.MakeLoss(net), ["data"], None, context=[mx.cpu(device) for device in range(8)])
    module.bind([("data", (16, 5))])
    module.init_params(mx.init.Normal(1.0))
    module.forward(mx.io.DataBatch([mx.nd.random.normal(shape=(16, 5))]), is_train=True)
    arrays = module_arrays(module)
    module._params_dirty = True  # as after an update
    arg_params, aux_params = (
        {name: array.copy() for name, array in group.items()} for group in read_parameters(module)
    )
    for name, copies in zip(arrays.names, arrays.parameters):
        np.testing.assert_array_equal(arg_params[name].asnumpy(), copies[0].asnumpy(), err_msg=name)
    means = [np.mean([array.asnumpy() for array in copies], axis=0) for copies in arrays.auxiliary]
    for name, mean in zip(("bn_moving_mean", "bn_moving_var"), means):
        np.testing.assert_allclose(aux_params[name].asnumpy(), mean, rtol=1e-6, atol=1e-7)
    module._params_dirty = True
    mean_of_weights = module.get_params()[0]["fc_weight"].asnumpy()
    assert (mean_of_weights != arrays.parameters[0][0].asnumpy()).any()  # what `read_parameters` is for
