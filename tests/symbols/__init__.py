"""Tests of the graph builders."""

import gc

import mxnet  # noqa: F401

# hypothesis collects garbage around every test; with mxnet's thousands of operators that took
# longer than the tests. Objects that stay for good need no second look.
gc.collect()
gc.freeze()
