"""gojsonnet: snippets, with an import callback and a native one in Python."""

import json

import _gojsonnet

SNIPPET = 'local library = import "library"; {answer: std.native("times")(library.six, 7)}'


def _import(folder: str, name: str) -> tuple[str, bytes]:
    return name, b"{six: 6}"


def call() -> None:
    text = _gojsonnet.evaluate_snippet(
        "snippet",
        SNIPPET,
        import_callback=_import,
        native_callbacks={"times": (("a", "b"), lambda a, b: a * b)},
    )
    assert json.loads(text) == {"answer": 42}


own = call
