"""What both halves of `python -m tools bench` use."""

from __future__ import annotations

import os
import platform
import shlex
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.base import ROOT, Stop

FLOOR = Path(__file__).parent / "floor"
"""C programs that do only what can't be done without."""


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of several repetitions: a busy machine moves their mean, and their ends."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Raises statistics.StatisticsError when there are no values."""
        if len(values) < 2:
            return cls(statistics.median(values), min(values), max(values))
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(statistics.median(values), low, high)

    def to_json(self) -> dict[str, float]:
        return {"median": self.median, "low": self.low, "high": self.high}


def ratio(spread: Spread) -> str:
    """``612x (590-640)``, for a spread of ratios."""
    return f"{short(spread.median)}x ({short(spread.low)}-{short(spread.high)})"


def short(number: float) -> str:
    """Three digits, and no exponent."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def machine() -> dict[str, str]:
    """What the numbers depend on beside the toolchain."""
    return {
        "goos": "linux",
        "goarch": "amd64",
        "cpu": _cpu(),
        "kernel": platform.release(),
        "glibc": platform.libc_ver()[1],
        "python": platform.python_version(),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def cpus() -> int:
    """Which this process may use, and Go takes for GOMAXPROCS."""
    return len(os.sched_getaffinity(0))


def compile_floor(name: str, folder: Path) -> Path:
    """One of the floor's programs, compiled into the folder. Raises Stop."""
    program = folder / name
    compiler = shlex.split(os.environ.get("CC", "") or "cc")
    headers = ROOT / "golib" / "bridge"
    command = [*compiler, "-O2", f"-I{headers}", "-o", str(program), str(FLOOR / f"{name}.c"), "-ldl"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Stop(f"the C compiler {compiler[0]} cannot be run: {error.strerror}; set CC") from error
    if done.returncode != 0:
        raise Stop(f"the C compiler {compiler[0]} refuses {name}.c: {done.stderr.strip()}; set CC")
    return program


def clean_environment() -> dict[str, str]:
    """The user's own, but for what would change what Go does (GOGC, GODEBUG, GOMAXPROCS …)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GO")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
