"""The page, and in a real Chromium: what a reader sees, clicks and types."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from golib.judge import known
from golib.judge.outcome import Kind, judge
from golib.judge.release import release
from golib.run.trace import Ended
from golib.show import page
from golib.show.picture import picture

ISSUES = known.shipped()
TRACES = Path(__file__).parent / "traces"
HOSTILE = "</script><script>document.title = 'taken'</script><img src=http://example.org/x>"
MOST_BYTES = 2_000_000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pictured(name: str) -> dict[str, Any]:
    """The picture of the recorded trace of an issue's proof."""
    [issue] = [one for one in ISSUES if one.id == name]
    data = json.loads((TRACES / f"{name.replace('#', '-')}.json").read_text())
    outcome = judge(issue.proof, Ended.from_json(data["ended"]), data["stack_guard"])
    return picture(outcome, known.verdict(outcome, data["version"], ISSUES))


def row(test: str, status: str, issue: str | None = None, **more: Any) -> dict[str, Any]:
    outcome = {"kind": "fatal", "signature": "s", "headline": HOSTILE}
    return {"test": test, "status": status, "issue": issue, "outcome": outcome, **more}


def document(releases: int = 2, tests: int = 5) -> dict[str, Any]:
    names = [f"tests/runtime/test_panic.py::test_it[{number}]" for number in range(tests)]
    rows = [row(name, "known", "golib-1") for name in names]
    rows += [row("tests/runtime/test_world.py::test_a", "passed")]
    rows[0] |= {"picture": pictured("golib-1")}
    failed = pictured("golib-3") | {"words": HOSTILE, "headline": HOSTILE}
    broken = row("tests/runtime/test_world.py::test_b", "failed", text=HOSTILE, picture=failed)
    found = [
        {
            "version": f"1.26.{number}",
            "ran": "suite",
            **release([*rows, broken][: len(rows) + (number == 1)], ISSUES),
        }
        for number in range(releases)
    ]
    if releases > 1:
        found[0]["version"] += "@2"  # another GOROOT of that version
    found.append({"version": "1.27.9", "verdict": "unavailable", "why": "403 Forbidden"})
    machine = {"arch": "x86_64", "libc": "glibc", "python": "3.11"}
    return {"golib": "0", "machine": machine, "releases": found}


def test_a_picture_says_where_it_went_wrong() -> None:
    found = pictured("golib-1")
    last = found["steps"][-1]
    assert found["first"] == len(found["steps"]) - 1
    low, high = last["seen"]
    assert not low <= last["sp"] < high
    assert "do not contain it" in last["wrong"][1]
    assert set(found["stacks"]) == {"main thread's stack", "goroutine 17's stack", "foreign stack 1"}


def test_a_picture_shows_the_bounds_expected_beside_those_seen() -> None:
    found = pictured("golib-11")
    [step] = [one for one in found["steps"] if "expected" in one]
    assert step["expected"] == [0, 0] != step["seen"]
    assert found["at"]["golib-11"] == found["steps"].index(step)
    assert "native thread 2's stack" in found["stacks"]


@pytest.mark.parametrize("issue", ISSUES, ids=[issue.id for issue in ISSUES])
def test_each_issue_has_a_picture(issue: known.KnownIssue) -> None:
    found = pictured(issue.id)
    assert len(found["steps"]) <= 41
    assert found["steps"][found["first"]].get("wrong") or found["headline"].startswith(Kind.HANG.value)
    assert len(json.dumps(found)) < 16_000


def test_it_begins_with_the_answer_and_loads_nothing() -> None:
    text = page.render(document(), ISSUES)
    assert "Of the 3 releases that you asked for, 1.26.1 has failures that no known issue explains." in text
    assert "default-src &#39;none&#39;" in text
    assert "<img" not in text
    assert text.count("<script") == 2


def test_the_answer_names_the_releases_with_the_fewest_crashes() -> None:
    few = {"version": "1.2", "verdict": "known issues", "failures": [], "issues": {"a": {"effect": "hang"}}}
    many = few | {"version": "1.1", "issues": {"b": {"effect": "crash"}, "c": {"effect": "crash"}}}
    assert page.answer([many, few])[-1] == (
        "Of the known issues that end a process (crash), 1.2 has the fewest, none; the other releases have 2."
    )


def test_what_was_not_measured_is_not_said_to_be_clean() -> None:
    found = document(1)
    found["releases"][0] |= {"ran": "proofs", "proofs": {"golib-1": {}}}
    found["releases"].append({"version": "1.26.9", "ran": "proofs", **release([], ISSUES)})
    text = page.render(found, ISSUES)
    assert "golib-1 was not measured in 1.26.9" in text
    assert "golib-1 shows in 1.26.0" in text


def test_a_whole_history_is_small() -> None:
    assert len(page.render(document(86, 1711), ISSUES).encode()) < MOST_BYTES


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="no playwright with a Chromium on PATH")
    if CHROMIUM is None:
        pytest.skip("no playwright with a Chromium on PATH")
    with api.sync_playwright() as playwright:
        # Root has no sandbox; the page is a file of our own.
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page.render(document(), ISSUES), encoding="utf-8")
    return path


@pytest.fixture(params=[1440, 390])
def opened(browser: Any, path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page in a tab, light; it must not complain, nor ask for anything."""
    tab = browser.new_page(viewport={"width": request.param, "height": 900}, color_scheme="light")
    said: list[str] = []
    asked: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda one: asked.append(one.url))
    tab.goto(path.as_uri())
    yield tab
    tab.close()
    assert said == []
    assert {url.partition("#")[0] for url in asked} == {path.as_uri()}


def test_a_reader_finds_the_answer_and_a_cell(opened: Any) -> None:
    assert "1.26.1 has failures" in opened.locator("p.answer").first.inner_text()
    assert opened.evaluate("document.documentElement.scrollWidth") == opened.viewport_size["width"]
    opened.locator("#row-golib-1 td.cell a").first.click()
    panel = opened.locator("dialog[open]")
    assert "5 tests showed it" in panel.inner_text()
    # Step by step, by keyboard alone: the picture has the focus.
    figure = panel.locator("figure")
    assert figure.get_attribute("data-step") == "8"
    assert "do not contain it" in figure.inner_text()
    opened.keyboard.press("ArrowLeft")
    assert figure.get_attribute("data-step") == "7"
    assert "Go(), entered in Go" in figure.locator(".said").inner_text()
    assert figure.locator("svg .expected").count() == 3
    opened.keyboard.press("Home")
    assert figure.get_attribute("data-step") == "1"
    opened.keyboard.press("Escape")
    assert opened.locator("dialog[open]").count() == 0


def test_a_reader_filters_sorts_and_turns_it_dark(opened: Any) -> None:
    opened.keyboard.press("/")
    opened.keyboard.type("behaviour-wor")
    assert opened.locator("tbody.behaviours tr:visible").count() == 1
    assert opened.locator("tbody.issues tr:visible").count() == 0
    opened.keyboard.press("Escape")
    assert opened.locator("tbody.issues tr:visible").count() == 1
    opened.locator("#effect").select_option("hang")
    assert opened.locator("tbody.issues tr:visible").count() == 0
    opened.locator("#effect").select_option("")
    before = opened.locator("tbody.verdicts th").all_inner_texts()
    button = opened.locator("thead button").first
    button.click()
    button.click()
    assert opened.locator("tbody.verdicts th").all_inner_texts() == before[::-1]
    light = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    opened.locator("h1").click()
    opened.keyboard.press("d")
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_what_a_process_wrote_stays_text(opened: Any) -> None:
    opened.locator("details.failure summary").first.click()
    opened.locator("details.failure svg").wait_for()
    assert HOSTILE in opened.locator("details.failure").inner_text()
    assert opened.title() == page.TITLE


def test_a_link_opens_its_row(opened: Any) -> None:
    opened.goto(f"{opened.url}#golib-1")
    opened.locator("details#golib-1[open] svg").wait_for()
    assert "golib reproduce golib-1 --go 1.26.1" in opened.locator("details#golib-1").inner_text()
    opened.goto(f"{opened.url.partition('#')[0]}#behaviour-panic@1.26.0@2")
    opened.locator("dialog[open] li").first.wait_for()
    assert "5 tests did not pass" in opened.locator("dialog").inner_text()
