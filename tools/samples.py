"""python -m tools samples: do programs made of drawn cases do what the cases do?

Cases are drawn as the search draws them, and golib runs each.  Of those that die, that are silently wrong
and that pass, so many are made into programs (golib reproduce), which are built and run.  A death must show
in the same words; a silent one must have a neighbour that dies of the same issue, or something that the
program can count or look up; a case that passes must pass, and each thread must come into its frames in the
order of the script.  Cases that have no program are counted by the word that has none.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from golib import fuzz, reproduce
from golib.case.calltree import Case, Export, Go
from golib.door import flavour
from golib.judge.outcome import Kind, Outcome
from golib.reproduce import Wanted
from golib.show import reproducer
from golib.toolchains import build, program, toolchain
from golib.toolchains.toolchain import Toolchain
from tools import base

BATCH = 500
"""Cases that are drawn at once."""
MOST = 40
"""Batches: the newest release has a death in some sixty cases."""
SHARE = 0.95
"""Of the deaths and of the silent ones must show as programs."""
SECONDS = 30
"""For a run of a program: it takes some milliseconds, and Go five seconds at the most to die."""
DIED = (Kind.FATAL, Kind.SIGNAL)


@dataclass
class Sample:
    """Cases of one sort, and what became of them."""

    title: str
    count: int
    fits: Callable[[Outcome], bool]
    cases: list[Case] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Cases that would have been among them, by the word that has no program."""
    good: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    """One for each that did not do what its case does."""


@dataclass(frozen=True)
class Told:
    """What became of one."""

    good: bool
    what: str
    case: Case


def main(argv: Sequence[str]) -> int:
    """Exit status 1 where too few do what their cases do, 2 where the options make no sense."""
    parser = base.Parser("samples", __doc__)
    parser.add_argument("--go", metavar="SPEC", default="go", help="the Go that runs and builds them")
    parser.add_argument("--deaths", type=int, default=0, metavar="N", help="cases that die")
    parser.add_argument("--silent", type=int, default=0, metavar="N", help="cases that are silently wrong")
    parser.add_argument("--passing", type=int, default=0, metavar="N", help="cases that pass")
    parser.add_argument("--seed", default="samples", metavar="TEXT", help="of what is drawn (samples)")
    parser.add_argument(
        "--jobs", type=int, default=2, metavar="N", help="programs that are built at once (2)"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where programs go that do not show it")
    given = parser.parse_args(argv)
    samples = [
        Sample("die", given.deaths, lambda outcome: outcome.kind in DIED),
        Sample("are silent", given.silent, lambda outcome: outcome.kind is Kind.DIVERGENCE),
        Sample("pass", given.passing, lambda outcome: outcome.kind is Kind.PASSED),
    ]
    try:
        if given.jobs < 1 or min(sample.count for sample in samples) < 0:
            raise base.Stop("--deaths, --silent and --passing are no less than 0, and --jobs no less than 1")
        if not any(sample.count for sample in samples):
            raise base.Stop("nothing to sample: give --deaths, --silent or --passing")
        toolchain.check_platform()
        [chosen, *_], _ = toolchain.resolve([given.go])
        drawn = _draw(samples, chosen, given.seed)
        print(f"{chosen.name}, {drawn:,} cases drawn from {given.seed!r}", flush=True)
        for sample in samples:
            with ThreadPoolExecutor(given.jobs) as pool:
                for told in pool.map(lambda work: work(), list(_work(sample, chosen, given.keep))):
                    (sample.good if told.good else sample.bad)[told.what] += 1
                    if not told.good:
                        sample.lines.append(f"{told.what}: {told.case!r}")
            _show(sample)
    except (base.Stop, toolchain.SpecError, build.BuildError) as error:
        print(error, file=sys.stderr)
        return 2
    return int(any(sample.good.total() < _share(sample) * len(sample.cases) for sample in samples))


def _share(sample: Sample) -> float:
    return 1 if sample.title == "pass" else SHARE


def _draw(samples: Sequence[Sample], chosen: Toolchain, seed: str) -> int:
    """Fills them with distinct cases that call Go and whose bounds are not absent, and returns how many it
    looked at."""
    seen: set[Case] = set()
    for batch in range(MOST):
        drawn = fuzz.generate(BATCH, f"{seed} {batch}", chosen.version)
        cases = [case for case in drawn if case.bounds != "absent" and _calls_go(case) and case not in seen]
        for row in fuzz.rows(cases):
            if not any(len(sample.cases) < sample.count for sample in samples):
                return len(seen)
            seen.update(row)
            subject = reproduce.subject(chosen, flavour(row[0]))
            pinned = not fuzz.is_free(row[0])
            for outcome in subject.run_in_a_row(row, fuzz.DEADLINE, pinned=pinned, legal=True):
                for sample in samples:
                    # In a row the main thread keeps what its first callback found out: it is run alone, too.
                    if (
                        len(sample.cases) < sample.count
                        and sample.fits(outcome)
                        and sample.fits(subject.run(outcome.case, fuzz.DEADLINE))
                    ):
                        try:
                            reproducer.program(outcome.case)
                        except reproducer.Untranslatable as error:
                            sample.refused[str(error).partition("(")[0]] += 1
                        else:
                            sample.cases.append(outcome.case)
    short = ", ".join(f"{len(one.cases)} of {one.count} that {one.title}" for one in samples if one.count)
    print(f"{len(seen):,} cases hold {short}")
    return len(seen)


def _calls_go(case: Case) -> bool:
    return any(isinstance(placed.node, Go | Export) for placed in case.walk())


def _work(sample: Sample, chosen: Toolchain, keep: Path | None) -> Iterator[Callable[[], Told]]:
    """For each case what is left to do when golib has run it, which goes one after the other."""
    for number, case in enumerate(sample.cases):
        folder = keep / f"{chosen.name}-{sample.title.replace(' ', '-')}-{number}" if keep else None
        wanted = reproduce.seen(case, chosen)
        yield lambda case=case, wanted=wanted, folder=folder: _tried(  # type: ignore[misc]
            sample, case, wanted, chosen, folder
        )


def _tried(sample: Sample, case: Case, wanted: Wanted, chosen: Toolchain, keep: Path | None) -> Told:
    """Builds and runs it."""
    passes = sample.title == "pass"
    silent = sample.title == "are silent"
    if silent and wanted.case == case and not wanted.checks:
        issues = ", ".join(issue.id for issue in wanted.issues)
        return Told(False, f"nothing visible of {issues or 'no known issue'}", case)
    with tempfile.TemporaryDirectory(prefix="golib-sample-") as temporary:
        folder = keep or Path(temporary)
        made = reproducer.program(wanted.case, wanted.checks, SECONDS, trace=passes)
        program.write(made.files, folder)
        try:
            result = reproduce.attempt(wanted, made, chosen, folder, seconds=SECONDS)
        except build.BuildError as error:
            return Told(False, f"does not build: {error}", case)
        program.clean(folder)
    said = result.said.partition(f" on {chosen.name}")[2].removeprefix(": ").strip()
    if passes:
        frames = result.frames and f"visits other frames: {result.frames}"
        good = said.endswith("it passes)") and not frames
        return Told(good, "pass, in the order of the script" if good else frames or said, case)
    if silent and wanted.case != case:
        how = "by a neighbour that dies"
    else:
        how = "by what the program reads" if silent else "in the same words"
    if not silent and result.reproduced and wanted.outcome:
        words = known_words(result)
        if words != wanted.outcome.headline:
            return Told(False, f"dies in other words: {words}", case)
    sought = ", ".join(sorted(issue.id for issue in wanted.issues) or ["a fault without an id"])
    checks = "".join(f", {check} is looked up" for check in sorted(wanted.checks))
    return Told(result.reproduced, how if result.reproduced else f"{said}, {sought}{checks}", case)


def known_words(result: reproduce.Result) -> str:
    """The words that it died of."""
    return result.said.partition(": ")[2].rpartition(" (run ")[0]


def _show(sample: Sample) -> None:
    if not sample.cases:
        return
    refused = ", ".join(f"{count} for {word}" for word, count in sample.refused.most_common())
    whole = len(sample.cases)
    good = sample.good.total()
    print(f"{whole} that {sample.title}: {good} as programs ({100 * good / whole:.0f} %)")
    if refused:
        print(f"  {sample.refused.total():4} more have no program: {refused}")
    for what, count in [*sample.good.most_common(), *sample.bad.most_common()]:
        print(f"  {count:4} {what}")
    for line in sample.lines:
        print(f"    {line}")
    sys.stdout.flush()
