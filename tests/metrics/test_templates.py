"""Template features: media first, then templates, whatever the order of the images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcface_mx.metrics.templates import pool, template_scores
from arcface_mx.util.errors import UserError


def slowly(embeddings, templates, media, normalise):
    """{template: feature}, image by image, as IJB's protocol reads."""
    result = {}
    for template in set(templates):
        means = []
        for source in {m for m, t in zip(media, templates) if t == template}:
            rows = [
                embedding.astype(np.float64) / (np.linalg.norm(embedding.astype(np.float64)) if normalise else 1)
                for embedding, t, m in zip(embeddings, templates, media)
                if t == template and m == source
            ]
            means.append(sum(rows) / len(rows))
        total = sum(means)
        result[template] = total / np.linalg.norm(total)
    return result


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.booleans())
def test_media_pooling_equals_the_protocol(seed, count, normalise):
    random = np.random.RandomState(seed)
    embeddings = (random.randn(count, 6) * random.uniform(0.1, 10, (count, 1))).astype(np.float32)
    templates, media = random.randint(0, 6, count) * 7, random.randint(0, 4, count)
    expected = slowly(embeddings, templates.tolist(), media.tolist(), normalise)
    pooled = pool(embeddings, templates, media, normalise)
    assert pooled.ids.tolist() == sorted(expected)
    np.testing.assert_allclose(pooled.features, [expected[t] for t in pooled.ids.tolist()], atol=1e-5)
    frames = pool(embeddings, templates, None, normalise)
    expected = slowly(embeddings, templates.tolist(), list(range(count)), normalise)
    np.testing.assert_allclose(frames.features, [expected[t] for t in frames.ids.tolist()], atol=1e-5)


def test_a_long_video_weighs_as_much_as_one_image():
    embeddings = np.array([[1, 0]] + [[0, 1]] * 99, np.float32)
    video = pool(embeddings, ["t"] * 100, [0] + [1] * 99).features[0]
    np.testing.assert_allclose(video, [2**-0.5, 2**-0.5], atol=1e-6)
    assert pool(embeddings, ["t"] * 100).features[0, 1] > 0.99


def test_scores_of_template_pairs():
    random = np.random.RandomState(0)
    embeddings = random.randn(30, 8).astype(np.float32)
    names = [f"identity{k // 3:02d}/video{k % 2}" for k in range(30)]
    templates = pool(embeddings, names)
    ids = templates.ids.tolist()
    first, second = random.choice(ids, 500), random.choice(ids, 500)
    expected = [templates.features[ids.index(a)] @ templates.features[ids.index(b)] for a, b in zip(first, second)]
    np.testing.assert_allclose(template_scores(templates, first, second), expected, atol=1e-6)


@pytest.mark.parametrize(
    "ids, wanted",
    [(["a", "c"], "b"), (["a", "c"], "ab"), (["a", "c"], "zz"), (["1", "12"], 123), ([1, 12], 5), ([1, 12], 99)],
)
def test_template_that_is_not_there_is_named(ids, wanted):
    templates = pool(np.eye(2, dtype=np.float32), ids)
    with pytest.raises(UserError, match=f"list.txt: there is no template {wanted} \\(2 ids are missing\\)"):
        template_scores(templates, [ids[0], wanted, wanted], [ids[0]] * 3, "list.txt")


def test_bad_sets_are_refused():
    two = np.array([[1, 0], [-1, 0]], np.float32)
    with pytest.raises(UserError, match="zero vector"):
        pool(two, ["a", "a"])  # they cancel out
    with pytest.raises(UserError, match="not finite"):
        pool(two * np.nan, ["a", "b"])
    with pytest.raises(UserError, match="2 embeddings for 3"):
        pool(two, ["a", "b", "c"])
    with pytest.raises(UserError, match="2 embeddings for 2"):
        pool(two, ["a", "b"], [0])
    with pytest.raises(UserError, match="no images"):
        pool(two[:0], [])


def test_pooling_averages_the_images_of_each_identity():
    ids, features = pool(np.array([[1, 0], [0, 1], [0, 3]], np.float32), ["b", "a", "b"])
    assert ids.tolist() == ["a", "b"]
    np.testing.assert_allclose(features, [[0, 1], [2**-0.5, 2**-0.5]], atol=1e-6)
