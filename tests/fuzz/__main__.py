"""Feed broken files to the readers: nothing but UserError may come out.

    python -m tests.fuzz READER… --runs 1000000            random changes to sound files
    python -m tests.fuzz READER… --runs 1000000 --guided   by coverage (pip install atheris)

Stops with exit code 1, leaving the content in --keep, at another exception, at more than 10 s of
processor time or 5 minutes of any; with 1 GB of address space beyond the start an absurd allocation is
an exception. Native readers run in a
child process, so that a death by signal is counted with its content too.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback

from tests.fuzz.mutate import mutate
from tests.fuzz.readers import READERS

LIMIT_SECONDS, LIMIT_WAITING, LIMIT_BYTES, CHUNK = 10, 300, 1 << 30, 500


class TooSlow(BaseException):
    pass


def _too_slow(number, frame):
    raise TooSlow(f"more than {LIMIT_SECONDS} s")


def limits(native):
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL if native else _too_slow)
    with open("/proc/self/statm") as stream:
        size = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + LIMIT_BYTES, resource.RLIM_INFINITY))


def one(reader, content, folder):
    """True where the content was read, False where it was refused; another exception is a finding."""
    from arcface_mx.util.errors import UserError

    signal.alarm(LIMIT_WAITING)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_SECONDS)
    try:
        reader.read(content, folder)
        return True
    except UserError as error:
        assert "\n" not in str(error), f"an error of several lines: {str(error)!r}"
        return False
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)


def fuzz(name, runs, seed, keep):
    """(read, refused); raises AssertionError, the content written to `keep`, where something else came out."""
    reader, seeds = READERS[name], READERS[name].seeds()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        current = os.path.join(folder, "current")
        if not reader.native:
            _refused_or_read(reader, seeds[0], folder)  # imports what it needs, outside the limits
        if reader.native:
            counts = [0, 0]
            for start in range(0, runs, CHUNK):
                part = _in_child(reader, seeds, min(CHUNK, runs - start), seed + start, folder, current, name, keep)
                counts = [a + b for a, b in zip(counts, part)]
            return tuple(counts)
        limits(False)
        return _loop(reader, seeds, runs, seed, folder, name, keep, None)


def _refused_or_read(reader, content, folder):
    from arcface_mx.util.errors import UserError

    try:
        reader.read(content, folder)
    except UserError:
        pass


def _loop(reader, seeds, runs, seed, folder, name, keep, current):
    chance, counts = random.Random(seed), [0, 0]
    for _ in range(runs):
        content = mutate(chance.choice(seeds), seeds, chance)
        if current:
            with open(current, "wb") as stream:
                stream.write(content)
        try:
            counts[not one(reader, content, folder)] += 1
        except BaseException:
            raise AssertionError(_kept(name, content, keep) + traceback.format_exc())
    return tuple(counts)


def _kept(name, content, keep):
    with open(keep, "wb") as stream:
        stream.write(content)
    return f"{name}: content in {keep}\n"


def _in_child(reader, seeds, runs, seed, folder, current, name, keep):
    sys.stdout.flush()
    out, into = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries complain there
            limits(True)
            os.write(into, repr(_loop(reader, seeds, runs, seed, folder, name, keep, current)).encode())
            code = 0
        except BaseException as error:
            os.write(into, str(error).encode()[-60000:])
        os._exit(code)
    os.close(into)
    with os.fdopen(out, "rb") as stream:
        said = stream.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        with open(current, "rb") as stream:
            raise AssertionError(_kept(name, stream.read(), keep) + f"ended by signal {os.WTERMSIG(status)}")
    assert status == 0, said
    return eval(said, {"__builtins__": {}})  # two numbers of our own child


def guided(name, runs, seed, seconds):
    """Coverage-guided runs with atheris; it ends the process itself, with an error at a finding."""
    import atheris

    with atheris.instrument_imports(include=["arcface_mx"]):
        import arcface_mx.config  # noqa: F401
        import arcface_mx.data.bins.bins  # noqa: F401
        import arcface_mx.data.image_files  # noqa: F401
        import arcface_mx.data.pack.unpack  # noqa: F401
        import arcface_mx.data.recordio.index  # noqa: F401
        import arcface_mx.util.params  # noqa: F401
    reader = READERS[name]
    corpus = tempfile.mkdtemp(prefix="arcface-mx-fuzz-")
    for number, content in enumerate(reader.seeds()):
        with open(os.path.join(corpus, str(number)), "wb") as stream:
            stream.write(content)
    folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    options = [
        f"-atheris_runs={runs}",
        f"-timeout={LIMIT_SECONDS}",
        "-rss_limit_mb=2048",
        f"-seed={seed + 1}",
        "-max_len=4096",
        "-verbosity=0",
        f"-max_total_time={seconds}",
    ]
    done = [0]

    def run(content):
        _refused_or_read(reader, bytes(content), folder)
        done[0] += 1
        if done[0] % 10000 == 0:  # libFuzzer ends the process itself
            print(f"{name!s:<22} {done[0]:9d} contents guided by coverage, 0 findings", flush=True)

    atheris.Setup([sys.argv[0]] + options + [corpus], run)
    atheris.Fuzz()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of: {', '.join(READERS)}; none: all")
    parser.add_argument("--runs", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", action="store_true", help="by coverage; one reader that is not native")
    parser.add_argument("--seconds", type=int, default=0, help="with --guided: stop after this time (0: not)")
    parser.add_argument("--keep", default="fuzz-finding", help="where a content that is a finding is left")
    args = parser.parse_args()
    unknown = set(args.readers) - set(READERS)
    if unknown:
        parser.error(f"no reader {', '.join(sorted(unknown))}")
    if args.guided:
        guided(args.readers[0], args.runs, args.seed, args.seconds)
        return 0
    findings = 0
    for name in args.readers or READERS:
        start = time.perf_counter()
        try:
            read, refused = fuzz(name, args.runs, args.seed, args.keep)
            print(
                f"{name!s:<22} {args.runs:9d} contents: {read} read, {refused} refused, 0 findings; "
                f"{time.perf_counter() - start:.0f} s",
                flush=True,
            )
        except AssertionError as error:
            findings += 1
            print(f"{name:22} FINDING: {error}", flush=True)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
