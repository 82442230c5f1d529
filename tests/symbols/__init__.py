"""Tests of the graph builders."""

import gc

import mxnet  # noqa: F401

# hypothesis collects garbage around every test. With the thousands of operators of mxnet that took
# longer than the tests. Objects that exist until the end need not be looked at again.
gc.collect()
gc.freeze()
