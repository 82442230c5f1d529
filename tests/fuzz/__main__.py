"""Feed broken files to the readers. A reader may return or raise UserError, and nothing else.

    python -m tests.fuzz READER… --runs 1000000            random changes to valid files
    python -m tests.fuzz READER… --runs 1000000 --guided   guided by coverage (pip install atheris)

A finding is any other exception, more than 10 s of processor time, or more than 5 minutes of time.
The address space may grow by 1 GB, so that an absurd allocation raises MemoryError. After a finding
the content is in the file --keep and the exit code is 1. Native readers run in child processes, so
that a death by signal is a finding too.
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

from tests.fuzz.readers import READERS

MAX_PROCESSOR_SECONDS, MAX_SECONDS, MAX_BYTES = 10, 300, 1 << 30
CHUNK = 500  # contents that a child process reads
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


class TooSlow(BaseException):
    """The reader took more than its time."""


def set_limits(native):
    """Limit the memory of this process. A native reader that is too slow dies by signal."""

    def too_slow(number, frame):
        raise TooSlow(f"more than {MAX_PROCESSOR_SECONDS} s")

    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL if native else too_slow)
    with open("/proc/self/statm") as stream:
        size = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MAX_BYTES, resource.RLIM_INFINITY))


def is_read(reader, content, folder):
    """Whether the content was read (True) or refused (False). Any other exception is a finding."""
    from arcface_mx.util.errors import UserError

    signal.alarm(MAX_SECONDS)
    signal.setitimer(signal.ITIMER_PROF, MAX_PROCESSOR_SECONDS)
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
    """Return how many contents were read and refused. After a finding, raise AssertionError and write it to `keep`."""
    reader, seeds = READERS[name], READERS[name].seeds()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        if not reader.native:
            read_or_refuse(reader, seeds[0], folder)  # imports its modules before the limits
            set_limits(native=False)
            return _run(name, seeds, runs, seed, folder, keep)
        counts = [0, 0]
        for start in range(0, runs, CHUNK):
            part = _run_in_child(name, seeds, min(CHUNK, runs - start), seed + start, folder, keep)
            counts = [a + b for a, b in zip(counts, part)]
        return tuple(counts)


def read_or_refuse(reader, content, folder):
    """Read without limits."""
    from arcface_mx.util.errors import UserError

    try:
        reader.read(content, folder)
    except UserError as error:
        assert "\n" not in str(error), f"an error of several lines: {str(error)!r}"


def _run(name, seeds, runs, seed, folder, keep):
    reader, chance, counts = READERS[name], random.Random(seed), [0, 0]
    for _ in range(runs):
        content = reader.change(chance.choice(seeds), seeds, chance)
        if reader.native:  # the parent process reads it if this process dies
            _write(os.path.join(folder, "current"), content)
        try:
            counts[not is_read(reader, content, folder)] += 1
        except BaseException:
            _write(keep, content)
            raise AssertionError(f"{name}: content in {keep}\n{traceback.format_exc()}")
    return tuple(counts)


def _run_in_child(name, seeds, runs, seed, folder, keep):
    sys.stdout.flush()
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries write their complaints there
            set_limits(native=True)
            os.write(sender, " ".join(map(str, _run(name, seeds, runs, seed, folder, keep))).encode())
            code = 0
        except BaseException as error:
            os.write(sender, str(error).encode()[-60000:])
        os._exit(code)
    os.close(sender)
    with os.fdopen(receiver, "rb") as stream:
        message = stream.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        with open(os.path.join(folder, "current"), "rb") as stream:
            _write(keep, stream.read())
        raise AssertionError(f"{name}: content in {keep}\nended by signal {os.WTERMSIG(status)}")
    assert status == 0, message
    return tuple(map(int, message.split()))


def _write(path, content):
    with open(path, "wb") as stream:
        stream.write(content)


def guided(name, runs, seed, seconds):
    """Let atheris choose the contents by coverage. It ends the process itself, with an error after a finding."""
    import atheris

    with atheris.instrument_imports(include=["arcface_mx"]):
        import arcface_mx.config  # noqa: F401
        import arcface_mx.data.bins.read  # noqa: F401
        import arcface_mx.data.image_files  # noqa: F401
        import arcface_mx.data.pack.unpack  # noqa: F401
        import arcface_mx.data.recordio.index  # noqa: F401
        import arcface_mx.util.params  # noqa: F401

    reader = READERS[name]
    corpus = tempfile.mkdtemp(prefix="arcface-mx-fuzz-")
    for number, content in enumerate(reader.seeds()):
        _write(os.path.join(corpus, str(number)), content)
    folder = tempfile.mkdtemp(dir=MEMORY)
    options = [
        f"-atheris_runs={runs}",
        f"-timeout={MAX_PROCESSOR_SECONDS}",
        "-rss_limit_mb=2048",
        f"-seed={seed + 1}",
        "-max_len=4096",
        "-verbosity=0",
        f"-max_total_time={seconds}",
    ]
    count = 0

    def read(content):
        nonlocal count
        read_or_refuse(reader, bytes(content), folder)
        count += 1
        if count % 10000 == 0:  # libFuzzer ends the process without a last word
            print(f"{name:<22} {count:9d} contents guided by coverage, 0 findings", flush=True)

    atheris.Setup([sys.argv[0]] + options + [corpus], read)
    atheris.Fuzz()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"any of {', '.join(READERS)} (default: all)")
    parser.add_argument("--runs", type=int, default=10000, help="contents for each reader (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random changes (default: %(default)s)")
    parser.add_argument("--guided", action="store_true", help="guided by coverage; one reader that is not native")
    parser.add_argument("--seconds", type=int, default=0, help="with --guided: stop after this time (default: never)")
    parser.add_argument("--keep", default="fuzz-finding", help="file for the content of a finding")
    args = parser.parse_args()
    for name in args.readers:
        if name not in READERS:
            parser.error(f"no reader {name}")
    if args.guided:
        guided(args.readers[0], args.runs, args.seed, args.seconds)
        return 0
    findings = 0
    for name in args.readers or READERS:
        start = time.perf_counter()
        try:
            read, refused = fuzz(name, args.runs, args.seed, args.keep)
            seconds = time.perf_counter() - start
            print(
                f"{name:<22} {args.runs:9d} contents: {read} read, {refused} refused, 0 findings; {seconds:.0f} s",
                flush=True,
            )
        except AssertionError as error:
            findings += 1
            print(f"{name:<22} FINDING: {error}", flush=True)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
