"""The fork server of scenarios: a pytest session that collects nothing, and whose children run a test each.

It stands in an empty folder, so that no conftest.py of the user's loads Go into it.  For each request it
forks; the child collects the one test and runs pytest's ordinary protocol, in which the test's function runs
at its place on the stacks; and pytest's reports travel back.  Only public hooks are used.

    Server.pytest_runtestloop   in the server: serves (golib.run.forkserver)
    Server.around               in the child: the test, and what became of it
    Server.pytest_pyfunc_call   in the child: the case runs, and in it the function
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

from golib.case.places import PLACES
from golib.options import HANDED, HOSTS
from golib.packages import LIB
from golib.run import child, forkserver, maps
from golib.run.child import Request
from golib.run.exports import Loaded
from golib.run.program import Program

WITHOUT = ("timeout", "faulthandler", "threadexception", "unraisableexception", "xdist")
"""Plugins that start threads, handle signals or take hooks that a child needs."""


_QUIET = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
"""golib is imported before pytest is, and a user's filterwarnings may make errors of warnings."""
_LINES = 12
"""Of what pytest has said, where it does not come to serve."""


@dataclass(frozen=True)
class Setting:
    """What the server must know of the pytest run that it works for."""

    folder: str
    """Where that was started."""
    arguments: tuple[str, ...]
    """pytest's, for this session to read a test as that run does."""
    options: dict[str, Any]
    """What that run's options came to; those that a conftest.py adds are not known here at the start."""
    handed: dict[str, Any]
    """What golib hands to a worker."""
    path: tuple[str, ...]
    """sys.path."""
    pythonpath: str | None


class Server(child.Host):
    """A plugin of the server's session, and the host of its children."""

    def __init__(self, setting: Setting, begin: Callable[[child.Host], NoReturn]) -> None:
        super().__init__()
        self._setting = setting
        self._begin = begin
        self._reports: list[pytest.TestReport] = []
        self._broken: BaseException | None = None
        self._prepared: set[str] = set()
        """Test files for which all is imported that may be."""
        self._left: set[str] = set()
        """What only a child may import."""

    # In the server.

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        """Not by -p no:NAME: their options may stand in the ini file, and would be unknown."""
        for name in WITHOUT:
            config.pluginmanager.unregister(name=name)

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[HANDED] = self._setting.handed
        config.stash[HOSTS] = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> NoReturn:
        self._session = session
        self._begin(self)

    def check(self) -> None:
        threads = _threads()
        if threads != 1:
            raise RuntimeError(
                f"the server of scenarios has {threads} threads and must fork with one; a pytest plugin has"
                " started them: turn it off (-p no:NAME)"
            )
        if found := maps.go_libraries():
            raise RuntimeError(
                f"Go is in the server of scenarios, which must fork without it: a pytest plugin loaded"
                f" {found[0]}; import it in the test's file"
            )

    def prepare(self, request: Request) -> None:
        """Imports what the test's file imports, but for what brings Go or threads: that is found out in
        children.  The file itself and each conftest.py are the child's to import, as pytest does it."""
        file = request.scenario.partition("::")[0]
        if file in self._prepared:
            return
        self._prepared.add(file)
        before = set(sys.modules)

        def imported() -> str:
            os.chdir(self._setting.folder)
            self._session.perform_collect([file])
            return "\n".join(
                name for name, module in sys.modules.items() if name not in before and not _by_pytest(module)
            )

        def brings(name: str) -> str:
            importlib.import_module(name)
            return "nothing" if _threads() == 1 and not maps.go_libraries() else "Go or threads"

        # A package first, so that what is in it comes with it.
        names = sorted(filter(None, forkserver.ask(imported).splitlines()), key=lambda name: name.count("."))
        for name in names:
            top = name.partition(".")[0]
            if name in sys.modules or top in self._left:
                continue
            if forkserver.ask(lambda name=name: brings(name)) == "nothing":  # type: ignore[misc]
                importlib.import_module(name)
            else:
                self._left.add(top)

    # In the child.

    def around(self, request: Request, run: Callable[[], Sequence[Program]]) -> None:
        config = self._session.config
        os.chdir(self._setting.folder)
        if self._setting.pythonpath is None:
            os.environ.pop("PYTHONPATH", None)
        else:
            os.environ["PYTHONPATH"] = self._setting.pythonpath
        config.pluginmanager.unregister(name="terminalreporter")
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        for name, value in self._setting.options.items():
            if not hasattr(config.option, name):
                setattr(config.option, name, value)
        items = self._session.perform_collect([request.scenario])
        if len(items) != 1:
            raise RuntimeError(f"{request.scenario} was collected before, and now {len(items)} tests are")
        self._request, self._run = request, run
        config.hook.pytest_runtest_protocol(item=items[0], nextitem=None)
        if self._broken is not None:
            raise self._broken
        self._tell(config, request)

    def _tell(self, config: pytest.Config, request: Request) -> None:
        failed = next((report for report in self._reports if report.failed), None)
        raised = ""
        if failed is not None:
            crash = getattr(failed.longrepr, "reprcrash", None)
            raised = (crash.message if crash else str(failed.longrepr)).strip() or "failed"
        data = [
            config.hook.pytest_report_to_serializable(config=config, report=report)
            for report in self._reports
        ]
        sys.stdout.flush()
        sys.stderr.flush()
        # What a report holds beside pytest's own is told as text, as xdist does not: it would fail.
        child.tell(request, raised, json.dumps(data, default=str))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.append(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Lets pytest call, instead of the test's function, what runs the case that calls it."""
        function = pyfuncitem.obj
        spot: Any = pyfuncitem.callspec.params[LIB]
        place = PLACES[spot.place]
        lib = Loaded(self._request.library, self._request.exports)
        unraised = _keep_what_callbacks_raise()

        def at_its_place(**arguments: Any) -> None:
            __tracebackhide__ = True

            def scenario() -> None:
                __tracebackhide__ = True
                function(**arguments | {LIB: lib})
                if error := lib._left() or next(iter(unraised), None):
                    raise error

            [call] = self._request.cases[0].calls()
            self.calls[call] = _in_greenlet(scenario) if place.greenlet else scenario
            try:
                programs = _on_a_thread(self._run) if place.elsewhere else self._run()
            except BaseException as error:
                self._broken = error
                raise
            if raised := [error for program in programs for error in program.raised]:
                raise raised[0]

        pyfuncitem.obj = at_its_place
        try:
            return (yield)
        finally:
            pyfuncitem.obj = function  # by its first line pytest knows where a traceback begins


def _by_pytest(module: ModuleType) -> bool:
    """Whether pytest has imported that module, and rewritten its asserts."""
    return type(getattr(module, "__loader__", None)).__name__ == "AssertionRewritingHook"


def _threads() -> int:
    """Of this process."""
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208


def _keep_what_callbacks_raise() -> list[BaseException]:
    """What callbacks raise that the user's own code made: ctypes prints it and gives C zero, and from now on
    it is kept."""
    kept: list[BaseException] = []
    before = sys.unraisablehook

    def unraisable(seen: sys.UnraisableHookArgs) -> None:
        if "ctypes callback" in (seen.err_msg or "") and seen.exc_value is not None:
            kept.append(seen.exc_value)
        else:
            before(seen)

    sys.unraisablehook = unraisable
    return kept


def _on_a_thread(run: Callable[[], Sequence[Program]]) -> Sequence[Program]:
    """Raises what it raises."""
    found: list[Sequence[Program] | BaseException] = []

    def begin() -> None:
        try:
            found.append(run())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def _in_greenlet(scenario: Callable[[], None]) -> Callable[[], None]:
    greenlet = pytest.importorskip("greenlet")

    def switched() -> None:
        __tracebackhide__ = True
        greenlet.greenlet(scenario).switch()

    return switched


def main(arguments: list[str]) -> None:
    """``python -m golib.scenario SOCKET MEMFD LIMIT``: not for hands."""
    parent, memfd = forkserver.begin(arguments, "-m", "golib.scenario")
    setting: Setting = pickle.loads(forkserver.told(parent) or sys.exit(0))
    sys.path += [entry for entry in setting.path if entry not in sys.path]
    os.environ.pop("PYTEST_ADDOPTS", None)
    with tempfile.TemporaryDirectory(prefix="golib-scenario-") as folder:
        empty = Path(folder, "empty")
        empty.mkdir()
        os.chdir(empty)
        said = Path(folder, "said")
        with said.open("wb") as file:
            for fd in (1, 2):
                os.dup2(file.fileno(), fd)

        def begin(host: child.Host) -> NoReturn:
            try:
                forkserver.serve(parent, memfd, host)
            except SystemExit:
                shutil.rmtree(folder, ignore_errors=True)
            os._exit(0)  # pytest would call what only a child has done

        given = [
            "-s",
            "-q",
            "-o",
            "addopts=",
            f"--basetemp={folder}/tmp",
            *setting.arguments,
            *_QUIET,
        ]
        status = pytest.main([*given, str(empty)], plugins=[Server(setting, begin)])
        last = "\n".join(said.read_text(errors="replace").strip().splitlines()[-_LINES:])
        forkserver.refuse(parent, f"its pytest ended with status {int(status)} and said:\n{last}")


if __name__ == "__main__":
    main(sys.argv[1:])
