"""One self-contained page: issues x releases, and what failed.  It loads nothing, and says so to the browser.

jinja2 escapes all that comes from a process that failed.  The page has no inline event handler; its one
script is allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from golib.judge.known import KnownIssue
from golib.judge.release import CLEAN, GONE, KNOWN, NEW, UNAVAILABLE

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--line:#d0d7de;--bad:#ffd8d3;--warn:#fff1c2;
--ok:#e6f4ea;--none:#f3f4f6}
:root.dark{color-scheme:dark;--ink:#e6edf3;--soft:#9da7b1;--paper:#14181d;--line:#3a424b;--bad:#6b2420;--warn:#5a4708;
--ok:#12401f;--none:#22272e}
body{margin:0 auto;padding:1rem;max-width:1400px;font:16px/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--paper)}
h1{font-size:1.5rem;margin:.3rem 0}h2{font-size:1.15rem;margin-top:2rem}
p.answer{font-size:1.1rem;margin:.4rem 0}.soft{color:var(--soft)}a{color:inherit}
.wide{overflow-x:auto}table{border-collapse:collapse}td,th{border:1px solid var(--line);padding:.25rem .5rem;
text-align:left;vertical-align:top}td.cell{text-align:center;white-space:nowrap}
th.release{white-space:nowrap}td.title{min-width:18rem}
.bad{background:var(--bad)}.warn{background:var(--warn)}.ok{background:var(--ok)}.none{background:var(--none)}
pre{overflow-x:auto;border:1px solid var(--line);padding:.6rem;font-size:13px}
input,button{font:inherit;padding:.2rem .5rem}summary{cursor:pointer}
@media print{.tools{display:none}details>*{display:block}}
"""

_SCRIPT = """
const dark = document.getElementById("dark"), filter = document.getElementById("filter");
dark.addEventListener("click", () => document.documentElement.classList.toggle("dark"));
if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark");
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\\s+/);
  for (const row of document.querySelectorAll("tbody.issues tr, details.failure"))
    row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
});
const open = () => {
  const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (row && row.matches("details")) row.open = true;
};
addEventListener("hashchange", open);
open();
"""

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>{{ style }}</style>
</head>
<body>
<h1>{{ title }}</h1>
{% for sentence in answer %}<p class="answer">{{ sentence }}</p>
{% endfor -%}
<p class="soft">{{ how }}</p>
<p class="tools"><label>Filter <input id="filter" type="search" placeholder="crash, golib-1, panic &hellip;"></label>
<button id="dark" type="button">Dark or light</button></p>

<h2>Verdicts</h2>
<div class="wide"><table>
<thead><tr><th>release</th><th>verdict</th><th>tests</th><th>what it means</th></tr></thead>
<tbody>
{% for one in releases %}<tr id="release-{{ one.version }}"><th class="release"><a href="#release-{{ one.version }}">
{{- one.version }}</a></th><td class="{{ colours[one.verdict] }}">{{ signs[one.verdict] }} {{ one.verdict }}</td>
<td>{% if one.counts %}{% for name, count in one.counts.items() %}{{ count }} {{ name }}
{%- if not loop.last %}, {% endif %}{% endfor %}{% endif %}</td><td>{{ says(one) }}</td></tr>
{% endfor %}</tbody></table></div>

<h2>Known issues and releases</h2>
{% if issues %}<p class="soft">&#x2717; 3: three tests showed the issue. &#x2713;: the release was judged and did not
show it. ?: the issue should show and did not. &ndash;: the release could not be had.</p>
<div class="wide"><table>
<thead><tr><th>issue</th><th>effect</th><th>what goes wrong</th>
{% for one in releases %}<th class="release">{{ one.version }}</th>{% endfor %}</tr></thead>
<tbody class="issues">
{% for issue in issues %}<tr id="{{ issue.id }}"><th class="release"><a href="#{{ issue.id }}">{{ issue.id }}</a></th>
<td>{{ issue.effect }}</td><td class="title">{{ issue.title }}{% if issue.url.startswith("https://") %}
 (<a href="{{ issue.url }}">report</a>){% endif %}</td>
{% for one in releases %}
{%- if one.verdict == "unavailable" %}<td class="cell none" title="unavailable">&ndash;</td>
{%- elif issue.id in one.gone %}<td class="cell warn" title="{{ issue.id }} is gone in {{ one.version }}">?</td>
{%- elif issue.id in one.issues %}<td class="cell bad" title="{{ issue.id }} shows in {{ one.version }}">&#x2717; {{
one.issues[issue.id].tests }}</td>
{%- else %}<td class="cell ok" title="{{ issue.id }} does not show in {{ one.version }}">&#x2713;</td>
{%- endif %}
{%- endfor %}</tr>
{% endfor %}</tbody></table></div>
{% else %}<p>No release showed a known issue.</p>{% endif %}

<h2>New failures</h2>
{% for one in releases %}{% for failure in one.failures %}
<details class="failure" id="failure-{{ one.version }}-{{ loop.index }}"><summary>{{ one.version }}: {{ failure.test }}
<br><span class="soft">{{ failure.outcome.headline }}</span></summary>
<p><a href="#failure-{{ one.version }}-{{ loop.index }}">link to this failure</a></p>
<pre>{{ failure.text }}</pre></details>
{% endfor %}{% endfor %}
{% if not failures %}<p>None: known issues explain every test that did not pass.</p>{% endif %}
<script>{{ script }}</script>
</body>
</html>
"""

_COLOURS = {CLEAN: "ok", KNOWN: "warn", NEW: "bad", GONE: "warn", UNAVAILABLE: "none"}
_SIGNS = {CLEAN: "✓", KNOWN: "!", NEW: "✗", GONE: "?", UNAVAILABLE: "\u2013"}


def render(document: Mapping[str, Any], issues: Sequence[KnownIssue]) -> str:
    """The page of what ``golib validate --json`` writes."""
    releases = document["releases"]
    seen = {name for one in releases for name in (*one.get("issues", ()), *one.get("gone", ()))}
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    hashed = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    machine = document["machine"]
    filled = [
        {"issues": {}, "gone": [], "failures": [], "counts": {}, **one} for one in releases
    ]  # of an unavailable one nothing else is known
    return environment.from_string(_TEMPLATE).render(
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{hashed}'",
        title="Go releases, judged by golib",
        style=Markup(_STYLE),
        script=Markup(_SCRIPT),
        answer=answer(filled),
        how=f"golib {document['golib']} ran Go as a C shared library in Python {machine['python']}, on Linux"
        f" {machine['arch']} with {machine['libc']}, and compared each call between C and Go with what Go"
        " promises.",
        releases=filled,
        issues=[issue for issue in issues if issue.id in seen],
        failures=any(one["failures"] for one in filled),
        colours=_COLOURS,
        signs=_SIGNS,
        says=_says,
    )


def answer(releases: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader came for, a sentence for each verdict that there is, the worst first."""
    sentences = {
        NEW: "have failures that no known issue explains",
        GONE: "no longer show a known issue that they should have",
        KNOWN: "have known issues and nothing else",
        CLEAN: "are clean",
        UNAVAILABLE: "could not be had from the module proxy",
    }
    total = len(releases)
    said: list[str] = []
    for verdict, words in sentences.items():
        names = [one["version"] for one in releases if one["verdict"] == verdict]
        if names:
            of = f"Of the {total} releases that you asked for, " if not said and total > 1 else ""
            words = words if len(names) > 1 else _singular(words)
            said.append(f"{of}{_listed(names)} {words}.")
    return said


def _singular(words: str) -> str:
    first, _, rest = words.partition(" ")
    words = {"have": "has", "are": "is", "no": "no", "could": "could"}[first] + " " + rest
    return words.replace("no longer show ", "no longer shows ").replace("they should", "it should")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _says(one: Mapping[str, Any]) -> str:
    """In a sentence or two, for who reads the table."""
    if one["verdict"] == UNAVAILABLE:
        return str(one["why"])
    parts = []
    if one["failures"]:
        parts.append(f"{len(one['failures'])} tests fail, see New failures below.")
    if one["gone"]:
        parts.append(f"{_listed(one['gone'])} should show and did not.")
    by_effect: dict[str, list[str]] = {}
    for name, issue in one["issues"].items():
        by_effect.setdefault(issue["effect"], []).append(name)
    if by_effect:
        known = "; ".join(f"{effect}: {', '.join(names)}" for effect, names in by_effect.items())
        parts.append(f"{known}.")
    return " ".join(parts) or "Every test passed."
