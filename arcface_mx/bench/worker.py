"""One contestant's process: `python worker.py MODULE JSON`. Standard library only, for any interpreter.

Answers each line of standard input with one JSON line: first, unasked, {} when ready; "run" does the
work once, which gives its items or (items, seconds waited for input); "memory" tells the largest
resident size above that after importing the module's ENGINE.
"""

# mypy: allow-untyped-defs, no-check-untyped-defs

import importlib
import importlib.util
import json
import os
import sys
import time


def resident_mb(field):
    """VmRSS or VmHWM of this process."""
    with open("/proc/self/status") as stream:
        for line in stream:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024.0
    return float("nan")


def load(module):
    if not module.endswith(".py"):
        return importlib.import_module(module)
    spec = importlib.util.spec_from_file_location("contestant", module)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def main(module, arguments):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    sys.path.pop(0)  # this folder's files are nobody's modules
    loaded = load(module)
    importlib.import_module(loaded.ENGINE)
    start = resident_mb("VmRSS")
    run = loaded.setup(**json.loads(arguments))
    answer = {}
    while True:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        word = sys.stdin.readline().strip()
        if word == "run":
            cpu, clock = time.process_time(), time.perf_counter()
            done = run()
            answer = {"seconds": time.perf_counter() - clock, "cpu": time.process_time() - cpu}
            answer["items"], answer["waited"] = done if isinstance(done, tuple) else (done, None)
        elif word == "memory":
            answer = {"peak_mb": resident_mb("VmHWM") - start}
        else:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
