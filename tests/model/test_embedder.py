"""An Embedder gives the graph's own numbers, whatever the batches, devices, sizes and flips."""

from __future__ import annotations

import weakref

import cv2
import mxnet as mx
import numpy as np
import pytest

from arcface_mx.model.embedder import Embedder, resize_to_input
from arcface_mx.util.errors import UserError
from tests.support import nets

SIZE = (32, 32)


@pytest.fixture(scope="module")
def net():
    symbol = nets.embedding(SIZE)
    return (symbol,) + nets.parameters(symbol, SIZE)


@pytest.fixture(scope="module")
def images():
    return nets.images(23, SIZE)


@pytest.mark.parametrize("batch_size", [1, 4, 23, 50])
@pytest.mark.parametrize("devices", [1, 2, 3])
def test_embeddings_do_not_depend_on_batches_and_devices(net, images, batch_size, devices):
    embedder = Embedder(*net, contexts=[mx.cpu(number) for number in range(devices)], input_size=SIZE)
    embeddings = embedder.embed(iter(images), batch_size)
    assert embeddings.dtype == np.float32 and embeddings.shape == (23, 8) == (23, embedder.embedding_size)
    np.testing.assert_allclose(embeddings, nets.outputs(*net, images), atol=1e-5)


def test_one_embedder_serves_calls_of_any_length(net, images):
    embedder = Embedder(*net, input_size=SIZE)
    expected = nets.outputs(*net, images)
    for count, batch_size in ((3, 8), (23, 8), (5, 8), (23, 2), (1, 32), (0, 4), (23, 32)):
        np.testing.assert_allclose(embedder.embed(images[:count], batch_size), expected[:count], atol=1e-5)


def test_the_flip_test_adds_the_embedding_of_the_mirror_image(net, images):
    embedder = Embedder(*net, input_size=SIZE)
    plain = nets.outputs(*net, images)
    flipped = nets.outputs(*net, [image[:, ::-1] for image in images])
    assert np.abs(plain - flipped).max() > 0.1
    both = embedder.embed_with_flip(images, 8)
    np.testing.assert_allclose(both[0], plain, atol=1e-5)
    np.testing.assert_allclose(both[1], flipped, atol=1e-5)
    np.testing.assert_allclose(embedder.embed(images, 8, flip=True), plain + flipped, atol=1e-5)


def test_images_are_streamed(net):
    """Of 400 images, at most two batches are alive at any moment."""
    alive, counts = weakref.WeakSet(), []

    class Watched(np.ndarray):
        __hash__ = object.__hash__
        __eq__ = object.__eq__

    def stream():
        for seed in range(400):
            image = nets.images(1, SIZE, seed)[0].copy().view(Watched)
            alive.add(image)
            counts.append(len(alive))
            yield image
            del image

    Embedder(*net, input_size=SIZE).embed(stream(), 8)
    assert len(counts) == 400 and max(counts) <= 16


def test_encoded_images_are_decoded_as_rgb(net, images):
    embedder = Embedder(*net, input_size=SIZE)
    encoded = [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in images]
    np.testing.assert_array_equal(embedder.embed(encoded, 8), embedder.embed(images, 8))


def test_larger_crops_are_averaged_down(net):
    embedder = Embedder(*net, input_size=SIZE)
    crops = nets.images(5, (96, 96))
    small = [image.reshape(32, 3, 32, 3, 3).mean((1, 3)) for image in crops]
    np.testing.assert_allclose(embedder.embed(crops), nets.outputs(*net, small), atol=0.05)
    resized = [cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA) for image in crops]
    np.testing.assert_allclose(embedder.embed(crops), nets.outputs(*net, resized), atol=1e-5)


def test_a_narrow_network_takes_the_middle_columns():
    image = nets.images(1)[0]
    np.testing.assert_array_equal(resize_to_input(image, (112, 96)), image[:, 8:104])


@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((112, 112, 3), np.float32), "float32 of shape \\(112, 112, 3\\); images are uint8"),
        (np.zeros((112, 112), np.uint8), "uint8 of shape \\(112, 112\\)"),
        (np.zeros((3, 112, 112), np.uint8), "uint8 of shape \\(3, 112, 112\\)"),
        (np.zeros((0, 112, 3), np.uint8), "of shape"),
        (np.zeros((112, 96, 3), np.uint8), "112×96; the network takes 32×32, which has other proportions"),
        (b"no image", "no readable image"),
    ],
)
def test_input_that_is_not_an_image_is_refused_with_its_number(net, images, image, message):
    embedder = Embedder(*net, input_size=SIZE, name="m")
    with pytest.raises(UserError, match="m: image 2: .*" + message):
        embedder.embed(images[:2] + [image])


def test_new_parameters_take_effect(net, images):
    symbol, arguments, states = net
    embedder = Embedder(symbol, arguments, states, input_size=SIZE)
    embedder.embed(images)
    others = nets.parameters(symbol, SIZE, seed=1)
    embedder.set_params(*others)
    np.testing.assert_allclose(embedder.embed(images), nets.outputs(symbol, *others, images), atol=1e-5)


def test_an_output_of_another_shape_is_refused(net):
    symbol, arguments, states = net
    convolution = symbol.get_internals()["conv_output"]
    with pytest.raises(UserError, match="its output has shape .*, not \\(images, d\\)"):
        Embedder(convolution, arguments, states, input_size=SIZE)


@pytest.mark.parametrize("batch_size", [0, -3])
def test_batch_size_must_be_positive(net, images, batch_size):
    with pytest.raises(UserError, match="`batch_size` must be at least 1, got"):
        Embedder(*net, input_size=SIZE).embed(images, batch_size)


@pytest.mark.parametrize("flip", [False, True])
def test_a_graph_that_fails_while_it_runs_raises_one_clear_line(images, flip):
    """A matrix without a Cholesky factor: only the operator itself notices, while it runs."""
    data = mx.sym.Variable("data")
    row = mx.sym.FullyConnected(data, num_hidden=4, no_bias=True, name="fc")
    matrix = -1.0 * mx.sym.batch_dot(mx.sym.expand_dims(row, 2), mx.sym.expand_dims(row, 1))
    symbol = mx.sym.Flatten(mx.sym.linalg.potrf(matrix))
    arguments, states = nets.parameters(symbol, SIZE)
    with pytest.raises(UserError, match="^broken: cannot run: [^\n]+$"):
        Embedder(symbol, arguments, states, input_size=SIZE, name="broken").embed(images, 8, flip)
    mx.nd.waitall()  # the error is raised only once


def test_mirror_images_share_the_batch_of_their_images(net, images):
    """There is one forward pass per batch, not two, also for the last and smaller one."""
    started = []

    class Counting:
        def start(self, pixels, max_batch):
            started.append((len(pixels), max_batch))
            return lambda: pixels.reshape(len(pixels), -1)[:, :8]

    plain, flipped = Embedder(*net, input_size=SIZE, engine=lambda network: Counting()).embed_with_flip(images, 8)
    assert started == [(16, 16), (16, 16), (14, 16)]
    np.testing.assert_array_equal(plain, [image[0, :8, 0] for image in images])
    np.testing.assert_array_equal(flipped, [image[0, :-9:-1, 0] for image in images])
