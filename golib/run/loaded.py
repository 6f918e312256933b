"""The library under test, as a scenario sees it: what ctypes.CDLL gives, and an exception in a callback is
raised when the export that called it returns."""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import Any


class Loaded:
    """``lib.NAME`` is an export of the library at ``path``, to be called.  A Go library runs from its loading
    on, so it is loaded when it is first used."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._raised: dict[int | None, list[BaseException]] = {}
        self._running: dict[int, int] = {}
        """Exports under way on each thread."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        library = self.__dict__.get("_library")
        if library is None:
            library = self.__dict__["_library"] = ctypes.CDLL(self._path)
        try:
            function = getattr(library, name)
        except AttributeError:
            raise AttributeError(f"the library under test exports no {name!r}") from None
        export = self.__dict__[name] = _Exported(self, function)
        return export

    def keep_what_callbacks_raise(self) -> None:
        """ctypes prints the exception of a callback and returns zero to C: from now on it is kept."""
        before = sys.unraisablehook

        def unraisable(seen: sys.UnraisableHookArgs) -> None:
            if "ctypes callback" not in (seen.err_msg or "") or seen.exc_value is None:
                before(seen)
                return
            thread = threading.get_ident()
            # On a thread of Go's no export is under way: whichever returns next raises it.
            whose = thread if self._running.get(thread) else None
            self._raised.setdefault(whose, []).append(seen.exc_value)

        sys.unraisablehook = unraisable

    def raised(self, thread: int | None = None) -> BaseException | None:
        """The first exception of a callback that nobody has raised yet: on that thread, or on any thread of
        Go's."""
        return next(iter(self._raised.pop(thread, ())), None)


class _Exported:
    """An export: its ctypes function, whose argtypes and restype may be set."""

    def __init__(self, of: Loaded, function: Any) -> None:
        self.__dict__.update(_of=of, _function=function)

    def __call__(self, *arguments: Any) -> Any:
        __tracebackhide__ = True
        thread, of = threading.get_ident(), self._of
        of._running[thread] = of._running.get(thread, 0) + 1
        try:
            result = self._function(*arguments)
        finally:
            of._running[thread] -= 1
        error = of.raised(thread) or of.raised()
        if error is not None:
            raise error
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_function"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._function, name, value)
