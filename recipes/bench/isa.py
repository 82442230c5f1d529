"""A training step and the margin head with all instructions of this processor, and with those of AVX2 alone.

Run: OMP_NUM_THREADS=2 python recipes/bench/isa.py --data FACES --json recipes/results/bench_isa.json

On a processor with AVX-512 this shows what the libraries lose without it. oneDNN (convolutions, FullyConnected) takes
DNNL_MAX_CPU_ISA, OpenBLAS (dot) OPENBLAS_CORETYPE, and the native head is compiled for Haswell. It is no measurement of
another processor: clock, caches and the width of the arithmetic units stay those of this one.
Each case is a process of its own, and the cases take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any, Callable, Dict, Iterator, List, Mapping

from timing import Sample, summarise, table

from arcface_mx.bench.networks import NETWORKS
from arcface_mx.bench.results import origin, report
from arcface_mx.util.files import write_json

AVX2 = {"DNNL_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell"}
SETTINGS: Dict[str, Dict[str, str]] = {"all instructions": {}, "AVX2": AVX2}
# The version differs from that of the compiler itself, so that the compiled head has another name in the cache.
COMPILER = """#!/bin/sh
if [ "$1" = --version ]; then echo "for Haswell"; fi
for word; do
  shift
  case $word in -march=native) word=-march=haswell ;; esac
  set -- "$@" "$word"
done
exec {compiler} "$@"
"""


def child(what: str, arguments: Mapping[str, Any]) -> None:
    """Set a case up, then run it once for each line of the input, and print the sample."""
    import cases
    import head
    import step

    run: Callable[[], Any]
    if what == "step":
        shape = NETWORKS[arguments["network"]]
        run = step.setup(shape, arguments["data"], reading=False)
    else:
        run = head.setup(arguments["head"], tuple(arguments["shape"]))
    cases._started["run"] = run
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        print(json.dumps(dataclasses.astuple(cases._run())), flush=True)


class Process:
    """The process of a case, with its own environment."""

    def __init__(self, what: str, arguments: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        words = [sys.executable, os.path.abspath(__file__), "--child", what, json.dumps(dict(arguments))]
        self._process = subprocess.Popen(
            words, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    def sample(self) -> Sample:
        """Run the case once."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Sample(*self._answer())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # a library's own message
                return json.loads(line)
        raise SystemExit("isa.py: a case ended; its error is above")


@contextlib.contextmanager
def haswell_compiler() -> Iterator[str]:
    """The path of a script that compiles for Haswell where it is asked to compile for this processor."""
    with tempfile.TemporaryDirectory(prefix="isa-") as folder:
        path = os.path.join(folder, "g++")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(COMPILER.format(compiler=shutil.which(os.environ.get("CXX", "g++"))))
        os.chmod(path, 0o755)
        yield path


def measured(cases: Dict[str, Any], repetitions: int) -> Dict[str, List[Sample]]:
    """Samples of each case under each setting, in turn; the first turn warms up."""
    with contextlib.ExitStack() as stack:
        compiler = stack.enter_context(haswell_compiler())
        processes = {}
        for name, (what, arguments) in cases.items():
            for setting, variables in SETTINGS.items():
                environment = dict(variables, CXX=compiler) if variables else {}
                process = stack.enter_context(contextlib.closing(Process(what, arguments, environment)))
                processes[f"{name}, {setting}"] = process
        turns = [{name: process.sample() for name, process in processes.items()} for _ in range(repetitions + 1)]
    return {name: [turn[name] for turn in turns[1:]] for name in processes}


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", metavar="FACES", help="folder with train.rec (default: only the head)")
    parser.add_argument("--networks", default="recipe,iresnet50", help="of the step (default: %(default)s)")
    parser.add_argument("--classes", default="10572,85742", help="of the head (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=128, help="of the head (default: %(default)s)")
    parser.add_argument("--embedding-size", type=int, default=512, help="of the head (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="turns of each case (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="also write the results to this file")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.child:
        child(args.child[0], json.loads(args.child[1]))
        return
    from head import PRODUCTS

    groups: List[Dict[str, Any]] = []
    if args.data:
        data = os.path.abspath(args.data)
        groups += [{f"step, {name}": ("step", {"network": name, "data": data})} for name in args.networks.split(",")]
    for classes in map(int, filter(None, args.classes.split(","))):
        shape = (args.batch_size, classes, args.embedding_size)
        heads = {f"{head}, n = {classes}": ("head", {"head": head, "shape": shape}) for head in (PRODUCTS, "native")}
        groups.append(heads)
    results = []
    for group in groups:
        timings = summarise(measured(group, args.repetitions), {}, {})
        results.append([dataclasses.asdict(timing) for timing in timings])
        print(table(timings, "per s") + "\n", flush=True)
    settings = {name: value for name, value in vars(args).items() if name not in ("json", "child")}
    document = report("python recipes/bench/isa.py", settings, results=results)
    print(origin(document))
    if args.json:
        write_json(args.json, document)


if __name__ == "__main__":
    main()
