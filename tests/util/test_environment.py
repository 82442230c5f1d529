"""`import arcface_mx` changes what its docstring lists, and nothing that the user has set."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from arcface_mx.util.environment import prepare_process

CODE = """
import json, os
before = dict(os.environ)
{first}
import arcface_mx, numpy
print(json.dumps({{name: value for name, value in os.environ.items() if before.get(name) != value}}))
assert numpy.bool is not None
"""
LISTED = set(re.findall(r"``([A-Z_]+)``", prepare_process.__doc__))


def changed_variables(first="", **variables):
    environment = {name: value for name, value in os.environ.items() if name not in LISTED}
    environment.update(variables)
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(first=first)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_import_sets_the_variables_of_the_docstring():
    assert set(changed_variables()) == LISTED and len(LISTED) == 6


@pytest.mark.parametrize("name", sorted(LISTED))
def test_a_variable_that_the_user_has_set_stays(name):
    assert set(changed_variables(**{name: "1"})) == LISTED - {name}


def test_the_thread_count_stays_if_mxnet_is_imported_already():
    first = "import numpy, sys, types; sys.modules['mxnet'] = types.ModuleType('mxnet')"
    assert set(changed_variables(first)) == LISTED - {"OMP_NUM_THREADS"}
