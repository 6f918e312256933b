"""A run in parts, on as many machines as there are (``--golib-shard K/N``), and what puts these together
(``golib merge``).

Tests of golib's are dealt out one by one, in the order of their collection, which is the same everywhere.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from golib import exhaustive, fuzz, hunt
from golib.show import report
from golib.show.report import write_atomically

FINE, FAILED, USAGE = 0, 1, 2
"""Exit statuses: no test failed; some did; a mistake."""


class MergeError(Exception):
    """Files that do not belong together: one sentence."""


def merged(documents: Sequence[tuple[str, Mapping[str, Any]]], partly: bool = False) -> dict[str, Any]:
    """One document of several, each with the name of its file.  Raises MergeError, also where a shard is
    missing, unless the whole is to be told as far as it goes (``partly``)."""
    first, whole = documents[0]
    rows: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {}
    of = whole["shard"]["of"]
    for name, document in documents:
        check_alike(first, whole, name, document)
        for row in document["results"]:
            test = row["test"], row["toolchain"]
            if test in rows:
                raise MergeError(
                    f"{name}: {test[0]} on {test[1]} stands in {rows[test][0]} already; name each shard once"
                )
            rows[test] = name, row
    there = {document["shard"]["number"] for _, document in documents}
    missing = [number for number in range(1, of + 1) if number not in there]
    if missing and not partly:
        raise MergeError(f"shard {missing[0]} of {of} is missing; name its file, too")
    results = [row for _, (_, row) in sorted(rows.items())]
    return {name: value for name, value in whole.items() if name != "shard"} | {"results": results}


def check_alike(first: str, whole: Mapping[str, Any], name: str, document: Mapping[str, Any]) -> None:
    """Raises MergeError unless both are shards of one run."""
    facts = {key: (whole.get(key), document.get(key)) for key in ("schema", "toolchains", "machine", "drawn")}
    facts["parts"] = whole["shard"]["of"], document["shard"]["of"]
    for key, (there, here) in facts.items():
        if here != there:
            raise MergeError(
                f"{name}: {key} is {here!r}, and {there!r} in {first}; only shards of one run are put"
                " together"
            )


def searched(rows: Sequence[Mapping[str, Any]], seed: str) -> list[str]:
    """What the search of all these tests came to: lines for people."""
    drawn: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    small: dict[tuple[str, int], dict[int, Mapping[str, Any]]] = defaultdict(dict)
    failed: dict[tuple[str, int], int] = defaultdict(int)
    slices: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if data := row.get("fuzz"):
            drawn[row["toolchain"]][row["test"]] = data
        if data := row.get("exhaustive"):
            key = row["toolchain"], data["nodes"]
            small[key][data["block"]] = data
            failed[key] += row["status"] == "failed"
        if data := row.get("hunt"):
            slices[row["toolchain"]].append(data)
    lines = []
    for toolchain, shards in sorted(drawn.items()):
        ran = sum(data["ran"] for data in shards.values())
        digest = fuzz.combined(data["digest"] for _, data in sorted(shards.items()))
        lines.append(f"fuzz {toolchain}: {ran} cases, seed {seed}, sha256 of what was drawn {digest}")
    for (toolchain, nodes), parts in sorted(small.items()):
        lines += exhaustive.sentence(nodes, toolchain, parts, failed[toolchain, nodes])
    lines += [hunt.sentence(toolchain, parts) for toolchain, parts in sorted(slices.items())]
    return lines


def suite_folder() -> Path:
    """Where the suite is: beside golib's modules where a wheel was installed, else in the checkout."""
    package = Path(__file__).parent
    installed = package / "suite"
    return installed if installed.is_dir() else package.parent / "tests" / "runtime"


def main(arguments: Sequence[str]) -> int:
    """``golib merge FILE…``: exit status 1 where a test failed, 2 for a mistake."""
    parser = argparse.ArgumentParser(
        "golib merge", description="Put together what the shards of a run wrote by --golib-json."
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--json", metavar="FILE", help="write the whole there")
    given = parser.parse_args(arguments)
    try:
        document = merged([(name, _read(Path(name))) for name in given.files])
        if given.json:
            write_atomically(Path(given.json).absolute(), json.dumps(document, indent=1) + "\n")
    except MergeError as error:
        print(f"golib merge: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"golib merge: --json {given.json}: {error.strerror}; name another file", file=sys.stderr)
        return USAGE
    return tell(document)


def tell(document: Mapping[str, Any]) -> int:
    """Prints what the whole came to, and gives the exit status."""
    rows = document["results"]
    failed = [row for row in rows if row["status"] == "failed"]
    for row in failed:
        print(f"{row['test']} on {row['toolchain']}\n{row.get('text', '')}\n")
    for line in report.summary(rows, list(dict.fromkeys(row["toolchain"] for row in rows))):
        print(line)
    for line in searched(rows, document.get("drawn", {}).get("seed", "")):
        print(line)
    for row in failed:
        print(f"FAILED {row['test']} on {row['toolchain']}")
    return FAILED if failed else FINE


def _read(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MergeError(f"{path} cannot be read: {error.strerror}; name a file of --golib-json's") from None
    except ValueError as error:
        raise MergeError(f"{path} holds no JSON: {error}; it is what --golib-json wrote") from None
    if not isinstance(data, dict) or not isinstance(data.get("results"), list):
        raise MergeError(f"{path} holds no results of a run; it is what --golib-json wrote")
    if not isinstance(data.get("shard"), dict) or not {"number", "of"} <= data["shard"].keys():
        raise MergeError(f"{path} is of no shard; `pytest --golib-shard K/N --golib-json FILE` writes one")
    return data


def command(file: str, options: Sequence[str]) -> list[str]:
    """pytest's arguments for one file of the suite, from wherever one stands."""
    folder = suite_folder()
    return [f"--config-file={folder / 'suite.ini'}", f"--rootdir={folder}", *options, str(folder / file)]
