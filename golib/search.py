"""golib search: the search on a cluster that exists, in shards (``--golib-shard``), by dask.distributed.

Each shard is a run of pytest in a process of its own, below a worker; the shards' documents are put together
as ``golib merge`` does.  A worker that dies is made up for by another one; a shard that has killed several is
named and not tried for ever.  A worker has one thread, golib, a C compiler and Go.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from golib import shards
from golib.options import MOST_COUNT, MOST_EXHAUSTIVE, MOST_SECONDS, MOST_SHARDS
from golib.show.report import check_writable, write_atomically

USAGE, STOPPED = 2, 3
"""Exit statuses beside those of ``golib merge``: a mistake; a shard could not be run."""

SECONDS = 15
"""For the scheduler to answer."""
SHARDS_EACH = 8
"""Shards for each worker: one that dies loses that part of its work, and the last one to end keeps nobody
waiting for long."""
KILLS = 2
"""Workers that may die of one shard."""

KINDS = {"exhaustive": "test_exhaustive.py", "hunt": "test_hunt.py", "fuzz": "test_fuzz.py"}
"""What searches, and its file in the suite."""


class SearchError(Exception):
    """The search cannot be run: one sentence."""


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser("golib search", description=__doc__.partition("\n")[0])
    parser.add_argument("--on", required=True, metavar="ADDRESS", help="of dask's scheduler: tcp://HOST:PORT")
    parser.add_argument("--go", action="append", default=[], metavar="SPEC", help="as for pytest; repeatable")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--exhaustive", type=int, metavar="N", help="every legal case of up to N nodes, 1 to 4")
    what.add_argument(
        "--hunt", type=int, metavar="SECONDS", help="faults of timing, so long on each Go, by all workers"
    )
    what.add_argument("--fuzz", type=int, metavar="N", help="drawn cases in each of the fuzzer's 16 shards")
    parser.add_argument("--seed", default="0", metavar="S", help="of what is drawn (0), or random")
    parser.add_argument("--shards", type=int, default=0, metavar="N", help="in how many parts")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the whole there, as --golib-json does"
    )
    given = parser.parse_args(arguments)
    try:
        _check(given)
        return _search(given)
    except SearchError as error:
        print(f"golib search: {error}", file=sys.stderr)
    return USAGE


def _check(given: argparse.Namespace) -> None:
    """Raises SearchError for what makes no sense, before anybody is asked.  A random seed is drawn: it must
    be the same for all shards."""
    limits = {
        "exhaustive": (1, MOST_EXHAUSTIVE),
        "hunt": (1, MOST_SECONDS),
        "fuzz": (1, MOST_COUNT),
        "shards": (0, MOST_SHARDS),
    }
    for name, (least, most) in limits.items():
        value = getattr(given, name)
        if value is not None and not least <= value <= most:
            raise SearchError(f"--{name} {value}: it is a number from {least} to {most:,}")
    if given.json:
        try:
            check_writable(given.json)
        except OSError as error:
            raise SearchError(
                f"--json {given.json}: it can't be written: {error.strerror}; name another file"
            ) from None
    if given.seed == "random":
        given.seed = os.urandom(4).hex()


def _search(given: argparse.Namespace) -> int:
    client = _client(given.on)
    with client:
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise SearchError(f"{given.on} has no workers; start one: dask worker {given.on} --nthreads 1")
        parts = given.shards or min(SHARDS_EACH * workers, MOST_SHARDS)
        documents, lost = _documents(client, _pytest(given), parts, workers)
    if not documents:
        return STOPPED
    document = shards.merged(sorted(documents.items()), partly=bool(lost))
    status = shards.tell(document)
    if given.json:
        try:
            write_atomically(given.json.absolute(), json.dumps(document, indent=1) + "\n")
        except OSError as error:
            raise SearchError(f"--json {given.json}: it can't be written: {error.strerror}") from None
    return STOPPED if lost else status


def _pytest(given: argparse.Namespace) -> list[str]:
    """The file of the suite, and pytest's options."""
    kind = next(kind for kind in KINDS if getattr(given, kind) is not None)
    options = [f"--golib-{kind}={getattr(given, kind)}", f"--golib-fuzz-seed={given.seed}"]
    if kind != "fuzz":
        options.append("--golib-fuzz=0")
    return [KINDS[kind], *options, *(f"--go={spec}" for spec in given.go)]


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise SearchError(
            "a cluster is spoken to by dask.distributed, which is not here; pip install 'pytest-golib[dask]'"
        ) from error
    try:
        return Client(address, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SearchError(
            f"--on {address}: no scheduler of dask's answers there ({why}); start one: dask scheduler"
        ) from error


def _documents(
    client: Any, arguments: list[str], parts: int, workers: int
) -> tuple[dict[str, Mapping[str, Any]], list[int]]:
    """What the shards wrote, by their names; and those that could not be run."""
    from distributed import KilledWorker, as_completed

    client.run_on_scheduler(_allow, KILLS)
    begin = time.monotonic()
    futures = {
        client.submit(
            shard, arguments, number, parts, pure=False, key=f"golib {number}/{parts} {begin}"
        ): number
        for number in range(1, parts + 1)
    }
    print(f"{parts} shards on {workers} workers: {' '.join(arguments)}", flush=True)
    documents: dict[str, Mapping[str, Any]] = {}
    lost: list[int] = []
    early: list[tuple[str, int]] = []
    for done in as_completed(list(futures), loop=client.loop):
        number = futures[done]
        name = f"shard {number}/{parts}"
        try:
            documents[name] = done.result()
        except KilledWorker:
            lost.append(number)
            _give_up(f"{name} has killed {KILLS + 1} workers", arguments, number, parts)
            continue
        except Exception as error:  # of a worker's: no golib there, no compiler, no such Go
            lost.append(number)
            early.append((f"{name}: {type(error).__name__}: {error}", number))
        if not documents:
            continue  # it may be so for all
        while early:
            why, number = early.pop(0)
            _give_up(why, arguments, number, parts)
        if name not in documents:
            continue
        left = (time.monotonic() - begin) / len(documents) * (parts - len(documents) - len(lost))
        print(f"[{len(documents)}/{parts}] {name}: {_said(documents[name])}; {left:.0f} s left", flush=True)
    if early:
        raise SearchError(early[0][0])
    for name, why in _others(documents):
        number = documents.pop(name)["shard"]["number"]
        lost.append(number)
        _give_up(why, arguments, number, parts)
    return documents, lost


def _others(documents: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The shards that do not belong to what most are of: a worker has another Python, or another Go."""
    found: list[list[tuple[str, str]]] = []
    for first, whole in documents.items():
        others = []
        for name, document in documents.items():
            try:
                shards.check_alike(first, whole, name, document)
            except shards.MergeError as error:
                others.append((name, str(error)))
        found.append(others)
    return min(found, key=len, default=[])


def _give_up(why: str, arguments: list[str], number: int, parts: int) -> None:
    """What others have come to stays."""
    file, *options = arguments
    again = shlex.join(["pytest", *shards.command(file, [*options, f"--golib-shard={number}/{parts}"])])
    print(f"{why}; it is not tried again: {again}", file=sys.stderr)


def _allow(kills: int, dask_scheduler: Any = None) -> None:
    """On the scheduler: how many workers may die of a task until it is given up."""
    dask_scheduler.allowed_failures = kills


def _said(document: Mapping[str, Any]) -> str:
    rows = document["results"]
    failed = sum(row["status"] == "failed" for row in rows)
    return f"{len(rows)} tests" + (f", {failed} failed" if failed else "")


def shard(arguments: Sequence[str], number: int, parts: int) -> dict[str, Any]:
    """On a worker: runs the shard, in a pytest that dies with the worker, and gives its document.  Raises
    RuntimeError with pytest's last words where it could not run."""
    from golib.run.process import die_with_parent

    file, *options = arguments
    with tempfile.TemporaryDirectory(prefix="golib-shard-") as temporary:
        written = Path(temporary) / "shard.json"
        own = ["-p", "no:cacheprovider", "-q", f"--golib-json={written}"]
        own += [f"--golib-failures={temporary}/failures", f"--golib-shard={number}/{parts}"]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pytest", *shards.command(file, [*own, *options])],
            cwd=temporary, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, preexec_fn=die_with_parent,
        )  # fmt: skip
        if done.returncode not in (0, 1, 5) or not written.exists():
            raise RuntimeError(" ".join(done.stdout.split()[-60:]))
        return dict(json.loads(written.read_text(encoding="utf-8")))
