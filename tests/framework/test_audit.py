"""``golib audit``: what it finds in files of all kinds, what it says of each Go, and that no file hurts."""

from __future__ import annotations

import dataclasses
import gzip
import importlib
import json
import os
import re
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import audited
import pytest
import shipped_library as shipped_library_module
from audited import elf, elf_of_pointers, information, tar, wheel

from golib import commands
from golib.files import buildinfo, folders, tars, wheels
from golib.files.found import Looked, UnreadableError
from golib.judge import affected, history, known
from golib.judge.known import EFFECTS
from golib.toolchains.toolchain import Toolchain

ISSUES = known.shipped()
MANGLED = 200


def look(path: Path) -> Looked:
    return folders.look(str(path), lambda _: None)


def found(path: Path) -> dict[str, str]:
    """What was found, and by which Go."""
    return {one.inside or Path(one.path).name: one.binary.version for one in look(path).found}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def environment(shipped_library: Path, tmp_path: Path) -> Path:
    """A virtual environment: one library that is really Go's, one of an old release, one that is older than
    the list, and what is no Go."""
    site = "lib/python3/site-packages"
    files = {
        f"{site}/{name}": data
        for name, data in {
            "shop/libshop.so": shipped_library.read_bytes(),
            **information("shop", "3.1", ["shop/libshop.so"]),
            "till.so": elf("go1.22.5"),
            **information("till", "2.0", ["till.so"]),
            "ancient/lib.so": elf("go1.20.5"),
            "dylib/lib.so": audited.macho("go1.25.5"),
            "text.so": b"no library",
            "c.so": elf().replace(b" Go buildinf:", b" no buildinf:"),
        }.items()
    }
    return write(tmp_path / "venv", {"pyvenv.cfg": b"home = /usr/bin\n", **files})


# What is found.


def test_each_go_is_read_as_go_itself_reads_it(
    go_on_path: Toolchain, shipped_library: Path, tmp_path: Path
) -> None:
    shutil.copy(shipped_library, tmp_path / "real.so")
    shutil.copy(go_on_path.go, tmp_path / "go")
    real = shipped_library.read_bytes()
    files = {
        "headless": real[:40] + bytes(8) + real[48:60] + bytes(4) + real[64:],  # no section headers
        "inline": elf("go1.22.5"),
        "pointers": elf_of_pointers("go1.17.13", "path\texample.com/x\nmod\texample.com/x\tv1\t\n"),
        "vendor": elf("go1.26.7 (Red Hat 1.26.7-1)"),
        "experiment": elf("go1.26.8 X:jsonv2", "path\tx\nbuild\t-race=true\nbuild\tGOEXPERIMENT=jsonv2\n"),
        "devel": elf("devel go1.28-abcdef Thu Nov 26"),
        "arm": elf("go1.24.8", machine=183),
        "macos": audited.macho("go1.25.5"),
        "windows": audited.pe("go1.23.1"),
        "shifted": elf()[:128] + bytes(8) + elf()[128:],  # the mark stands where no linker puts it
        "cut": real[:5000],
        "empty": b"",
    }
    write(tmp_path, files)
    said = subprocess.run(
        [str(go_on_path.go), "version", "-m", str(tmp_path)], capture_output=True, text=True, check=False
    )
    theirs: dict[str, tuple[str, dict[str, str]]] = {}
    for line in said.stdout.splitlines():
        if match := re.fullmatch(rf"{re.escape(str(tmp_path))}/(\S+): (.*)", line):
            settings = theirs.setdefault(match[1], (match[2], {}))[1]
        elif line.startswith("\tbuild\t"):
            key, _, value = line.removeprefix("\tbuild\t").partition("=")
            settings[key] = value
    ours = {
        Path(one.path).name: (one.binary.version, dict(one.binary.settings)) for one in look(tmp_path).found
    }
    assert ours == theirs
    assert set(theirs) == {*files, "real.so", "go"} - {"shifted", "cut", "empty"}


def test_what_runs_alone_is_told_from_a_library_and_go_alone_from_c(
    go_on_path: Toolchain, shipped_library: Path
) -> None:
    (library,) = look(shipped_library).found
    assert (library.binary.library, library.binary.c, library.binary.libc) == (True, True, "glibc")
    (program,) = look(go_on_path.go).found
    assert (program.binary.library, program.binary.c) == (False, False)


def test_the_package_is_the_one_whose_list_has_the_file(environment: Path) -> None:
    owners = {Path(one.path).name: str(one.owner) for one in look(environment).found}
    assert owners == {"libshop.so": "shop 3.1", "till.so": "till 2.0", "lib.so": "None"}
    single = look(environment / "lib/python3/site-packages/shop/libshop.so")
    assert [str(one.owner) for one in single.found] == ["shop 3.1"]


def test_a_dpkg_list_owns_files_too(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "usr/lib/libtill.so.1": elf(),
            "var/lib/dpkg/info/libtill1:amd64.list": b"/.\n/usr\n/lib/libtill.so.1\n",
            "var/lib/dpkg/info/other.list": b"/usr/lib/libtill.so\n/usr/lib/libtill.so.10\n",
            "var/lib/dpkg/status": b"Package: libtill1\nVersion: 1.2-3\n\n",
        },
    )
    assert [str(one.owner) for one in look(tmp_path).found] == ["libtill1 1.2-3"]


def test_a_wheel_is_read_by_itself_and_in_a_folder(shipped_library: Path, tmp_path: Path) -> None:
    data = wheel("shop", "3.1", {"shop/libshop.so": shipped_library.read_bytes(), "shop/till.so": elf()})
    (tmp_path / "shop-3.1-py3-none-musllinux_1_2_x86_64.whl").write_bytes(data)
    (other := tmp_path.parent / "shop-3.1-py3-none-manylinux_2_34_x86_64.whl").write_bytes(data)
    assert [one.binary.libc for one in look(other).found] == ["glibc", ""]
    for place in (tmp_path, next(tmp_path.iterdir())):
        looked = look(place)
        assert [(one.inside, str(one.owner)) for one in looked.found] == [
            ("shop/libshop.so", "shop 3.1"),
            ("shop/till.so", "shop 3.1"),
        ]
        assert [one.binary.libc for one in looked.found] == ["glibc", "musl"]
    assert len(list(tmp_path.iterdir())) == 1  # nothing was unpacked


# Images.

LOWEST: audited.Members = [
    ("site/till.so", elf()),
    *((f"site/{name}", data) for name, data in information("till", "2.0", ["till.so"]).items()),
    ("wheels/shop.whl", wheel("shop", "3.1", {"shop/lib.so": elf()})),
    ("opt/a/x.so", elf()),
    ("opt/b/y.so", elf()),
    ("opt/c", elf()),
    ("opt/second.so", (tarfile.LNKTYPE, "opt/c")),
]
ALL = {"site/till.so", "wheels/shop.whl/shop/lib.so", "opt/a/x.so", "opt/b/y.so", "opt/c", "opt/second.so"}
LAYERS: dict[str, tuple[audited.Members, set[str]]] = {
    "nothing": ([("etc/motd", b"hello")], ALL),
    "a wheel that is removed": ([("wheels/.wh.shop.whl", b"")], ALL - {"wheels/shop.whl/shop/lib.so"}),
    "a folder that is removed": ([("opt/.wh.a", b"")], ALL - {"opt/a/x.so"}),
    "a folder removed and made again": (
        [("opt/.wh.a", b""), ("opt/a/new.so", elf())],
        ALL - {"opt/a/x.so"} | {"opt/a/new.so"},
    ),
    "an opaque folder": ([("opt/.wh..wh..opq", b"")], {one for one in ALL if not one.startswith("opt")}),
    "an opaque folder, marked last": (
        [("opt/b/new.so", elf()), ("opt/b/.wh..wh..opq", b"")],
        ALL - {"opt/b/y.so"} | {"opt/b/new.so"},
    ),
    "a file in a folder's place": ([("opt/a", b"text")], ALL - {"opt/a/x.so"}),
    "a link in a folder's place": ([("opt/a", (tarfile.SYMTYPE, "b"))], ALL - {"opt/a/x.so"}),
    "a folder in a file's place": ([("opt/c", None)], ALL - {"opt/c"}),
    "a folder that is there already": ([("opt/a", None)], ALL),
    "another file": ([("opt/c", b"text")], ALL - {"opt/c"}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_what_a_layer_hides_is_not_found(name: str, tmp_path: Path) -> None:
    upper, left = LAYERS[name]
    layers = [tar(LOWEST), tar(upper)]
    (tmp_path / "docker.tar").write_bytes(audited.docker_save(layers))
    (tmp_path / "oci.tar").write_bytes(audited.oci(layers))
    for image in sorted(tmp_path.iterdir()):
        looked = look(image)
        assert (looked.kind, looked.problems, looked.whole) == ("image", [], True)
        assert {one.inside for one in looked.found} == left
        owners = {one.inside: str(one.owner) for one in looked.found if one.owner}
        assert owners["site/till.so"] == "till 2.0"


def test_a_layer_that_is_compressed_and_a_layout_that_is_a_folder(tmp_path: Path) -> None:
    layers = [tar(LOWEST)]
    (tmp_path / "whole.tar.gz").write_bytes(gzip.compress(audited.docker_save(layers)))
    (tmp_path / "plain.tar").write_bytes(audited.oci(layers, compress=bytes))
    with tarfile.open(tmp_path / "plain.tar") as archive:
        archive.extractall(tmp_path / "layout", filter="data")
    for name in ("whole.tar.gz", "plain.tar", "layout"):
        assert set(found(tmp_path / name)) == ALL


def _compress_zstd(data: bytes) -> bytes:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        import zstandard

        return zstandard.ZstdCompressor().compress(data)
    return zstd.compress(data)  # type: ignore[no-any-return, unused-ignore]


def test_zstd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "image.tar"
    image.write_bytes(audited.oci([tar(LOWEST)], _compress_zstd))
    assert set(found(image)) == ALL
    cut = tmp_path / "cut.tar"
    cut.write_bytes(audited.oci([tar(LOWEST)], lambda data: _compress_zstd(data)[:-20]))
    assert not look(cut).whole

    def none(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", none)
    (problem,) = look(image).problems
    assert "compressed by zstd, which takes Python 3.14 or `pip install zstandard`" in problem.why


# What is said of a Go.


def said(release: str) -> dict[str, affected.Affected]:
    return {one.issue.id: one for one in affected.affected(release, ISSUES)}


def test_an_issue_is_said_to_be_fixed_where_its_ranges_end() -> None:
    slow = said("1.22.5")["go#68587"]
    assert (slow.same_line, slow.first, slow.newest_line) == ("", "1.23.5", f"{newest_line()}.0")
    assert slow.measured
    assert not said("1.22.13")["go#68587"].measured  # behind the last that was
    (other,) = affected.affected("1.22.5", [dataclasses.replace(slow.issue, proof=ISSUES[0].proof)])
    assert not other.measured  # by a case that is not today's
    assert said("1.22.3")["go#62440"].same_line == "1.22.5"
    assert said("1.24.1")["go#72870"].same_line == "1.24.2"
    assert said("1.23.6")["go#72870"].same_line == "1.23.8"
    assert said("1.27.4")["golib-1"].fixed == "open"
    assert "go#68587" not in said("1.23.5")


def test_a_fix_that_did_not_last_is_none() -> None:
    ranges = (("1.24.0", "1.24.3"), ("1.24.6", "1.24.8"))
    twice = dataclasses.replace(ISSUES[0], releases=ranges, measured=())
    (one,) = affected.affected("1.24.1", [twice])
    assert (one.same_line, one.first) == ("1.24.9", "1.24.9")


def newest_line() -> str:
    return ".".join(affected.last()[-1].split(".")[:2])


def test_the_list_ends_where_the_history_does(monkeypatch: pytest.MonkeyPatch) -> None:
    releases = list(history.read())
    assert affected.last()[0] == [one for one in releases if one.startswith("1.21.")][-1]
    assert affected.last()[-1] == releases[-1]
    assert affected.newer("1.99.0")
    assert affected.newer(f"{newest_line()}.99")
    assert not affected.newer(releases[-1])


@pytest.mark.parametrize(
    ("version", "release", "why"),
    [
        ("go1.20.5", "1.20.5", "before 1.21"),
        ("go1.21rc2", "1.21rc2", "a pre-release"),
        ("devel go1.28-abcdef", "", "between releases"),
        ("go1.28-devel_abcdef", "1.28", "between releases"),
        ("unknown", "", "is not known"),
        ("go1.26.7 (Red Hat 1.26.7-1)", "1.26.7", ""),
    ],
)
def test_what_is_not_known_is_unjudged_and_not_clean(version: str, release: str, why: str) -> None:
    assert why in affected.unjudged(version, release)
    assert bool(affected.unjudged(version, release)) == bool(why)


# The command.


def audit(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = commands.main(["audit", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_text_says_what_a_user_can_do(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = audit(capsys, environment)
    assert (status, err) == (1, "")
    assert re.search(r"^lib\.so +go1\.20\.5 +c-shared +unjudged$", out, re.M)
    assert "till 2.0: " in out
    assert "slow go#68587: main thread calls, each of them\n  fixed in 1.23.5 and " in out
    assert "never in 1.22: till 2.0\n" in out
    assert "  unjudged: Mach-O: the list was made on Linux\n" in out
    assert "venv has 3 Go libraries (lib.so, shop 3.1, till 2.0)" in " ".join(out.split())
    assert out.splitlines()[-1] == "4 with Go: 2 with known issues, 2 unjudged"


def test_nothing_that_is_looked_at_is_loaded(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted = environment / "lib/python3/site-packages/shop/__init__.py"
    planted.write_text(f"open({str(environment / 'imported')!r}, 'w')")
    audit(capsys, environment)
    assert not (environment / "imported").exists()
    assert str(environment) not in Path("/proc/self/maps").read_text()


def test_json_has_all_of_it(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = audit(capsys, environment, "--format", "json")
    document = json.loads(out)
    assert (status, err, document["schema"]) == (1, "", 1)
    libraries = {Path(one["path"]).name: one for one in document["libraries"] if one["format"] == "ELF"}
    (other,) = (one for one in document["libraries"] if one["format"] != "ELF")
    assert (other["os"], other["arch"], other["issues"]) == ("darwin", "arm64", [])
    till = libraries["till.so"]
    assert till["package"] == {"name": "till", "version": "2.0", "kind": "wheel"}
    assert (till["go"], till["build_mode"], till["cgo"], till["arch"]) == (
        *("go1.22.5", "c-shared", "1", "amd64"),
    )
    assert till["main"] == "example.com/lib"
    slow = next(one for one in till["issues"] if one["id"] == "go#68587")
    assert slow["url"] == "https://go.dev/issue/68587"
    assert slow["fixed"]["first"] == "1.23.5"
    assert slow["trigger"] == "main thread calls, each of them"
    assert libraries["lib.so"]["issues"] == []
    assert "before 1.21" in libraries["lib.so"]["unjudged"]
    assert len(document["together"][0]["libraries"]) == 3


def test_sarif_is_what_code_scanning_takes(
    environment: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(environment)
    site = Path("lib/python3/site-packages")  # a second file of the same name in the same package
    write(site, {"copy/till.so": elf(), **information("till", "2.0", ["till.so", "copy/till.so"])})
    status, out, _ = audit(capsys, "lib", "--format", "sarif")
    document = json.loads(out)
    (run,) = document["runs"]
    assert (status, document["version"]) == (1, "2.1.0")
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} == rules >= {"go#68587", "golib-4"}
    prints = [json.dumps(result["partialFingerprints"]) for result in run["results"]]
    assert len(set(prints)) == len(prints)
    for result in run["results"]:
        assert result["level"] in ("error", "warning", "note")
        for place in result["locations"]:
            one = place["physicalLocation"]["artifactLocation"]
            assert one["uri"].startswith("lib/")
            assert (environment / one["uri"]).is_file()
            assert one["uriBaseId"] == "SRCROOT"
    notes = [one["message"]["text"] for one in run["invocations"][0]["toolExecutionNotifications"]]
    assert notes == [
        "unjudged: lib.so, go1.20.5: built by a Go before 1.21, where the list begins",
        "unjudged: lib.so, go1.25.5: Mach-O: the list was made on Linux",
    ]
    _, again, _ = audit(capsys, "lib", "--format", "sarif")
    assert again == out


def test_the_exit_status_is_for_the_kinds_that_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = affected.last()[-1]
    kinds = {one.issue.effect for one in said(newest).values()}
    assert "corruption" not in kinds
    path = write(tmp_path, {"new.so": elf(f"go{newest}")}) / "new.so"
    for kind in EFFECTS:
        assert audit(capsys, path, "--fail-on", kind)[0] == (kind in kinds), kind
    assert audit(capsys, path, "--fail-on", "corruption", "--fail-on", "crash")[0] == 1
    assert audit(capsys, path, "--fail-on", "corruption", "--fail-on", "any")[0] == 1


@pytest.mark.parametrize("form", ["text", "json", "sarif"])
def test_the_exit_status_is_the_same_in_every_format(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, {"a.so": elf(), "ancient.so": elf("go1.20.5")})
    assert audit(capsys, tmp_path, "--format", form)[0] == 1
    assert audit(capsys, tmp_path / "ancient.so", "--format", form)[0] == 0
    status, out, err = audit(capsys, tmp_path / "a.so", tmp_path / "none", "--format", form)
    assert status == 2
    assert "none does not exist; name a library" in (err if form != "text" else out)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none"], "none does not exist; name a library, a wheel, a folder or an image"),
        (["text"], "text is no library or program (ELF, Mach-O, PE), no wheel and no image; name one of"),
        (["pipe"], "pipe is neither a file nor a folder; name one"),
        (["bad.whl"], "bad.whl: it is no zip that can be read ("),
        (["bad.tar"], "bad.tar is no image: it has neither the manifest.json of docker save nor the"),
        (["--fail-on", "level"], "golib audit: argument --fail-on: invalid choice: 'level'"),
        (["--measure"], "golib audit: --measure was given 0 PATHs and 0 --call"),
        (["--measure", "text", "--call", "x"], "golib audit: --call 'x' is not MODULE:FUNCTION"),
        (["text", "--call", "a:b"], "golib audit: --call says what --measure calls; add --measure"),
        (["--measure", "none", "--call", "a:b"], "'none' is no file, and no distribution of that name"),
    ],
)
def test_a_mistake_is_a_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"text": b"hello", "bad.whl": b"PK\x03\x04" + bytes(40), "bad.tar": tar([("a", b"a")])})
    os.mkfifo(tmp_path / "pipe")
    status, out, err = audit(capsys, *arguments)
    assert status == 2
    assert (out + err).startswith(sentence)
    assert len((out + err).splitlines()) == 1


def test_names_cannot_write_to_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\x1b[2J\n\udcff.so"
    write(tmp_path, {name: elf("go1.22.5", "path\tx\x1b[1m\n")})
    for form in ("text", "json", "sarif"):
        _, out, _ = audit(capsys, tmp_path, "--format", form)
        assert "\x1b" not in out
        assert "\udcff" not in out


# What can be wrong with files.


def test_links_are_not_followed_and_pipes_not_opened(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"lib.so": elf()})
    inside = write(tmp_path / "inside", {"lib.so": elf()})
    (inside / "round").symlink_to(inside)
    (inside / "away").symlink_to(outside)
    (inside / "lib2.so").symlink_to(outside / "lib.so")
    (inside / "gone.so").symlink_to("nowhere")
    os.mkfifo(inside / "pipe.so")
    write(outside, information("spy", "1", ["lib.so"]))
    (inside / "spy-1.dist-info").mkdir()
    for name in ("METADATA", "RECORD"):
        (inside / "spy-1.dist-info" / name).symlink_to(outside / "spy-1.dist-info" / name)
    looked = look(inside)
    assert [(one.path, one.owner) for one in looked.found] == [(str(inside / "lib.so"), None)]
    assert looked.problems == []


def test_what_leads_out_of_an_archive_is_one_line(tmp_path: Path) -> None:
    """And what else the archive has is looked at."""
    write(
        tmp_path,
        {
            "a.whl": wheel("a", "1", {"../../etc/x.so": elf(), "a.so": elf()}),
            "c.whl": wheel("c", "1", {"": elf(), "c.so": elf()}),
            "b.tar": audited.docker_save([tar([("../../etc/x.so", elf()), ("b.so", elf())])]),
        },
    )
    for name, inside in (("a.whl", "a.so"), ("b.tar", "b.so"), ("c.whl", "c.so")):
        looked = look(tmp_path / name)
        assert [one.inside for one in looked.found] == [inside]
        assert ["leads out of the " in one.why for one in looked.problems] == [True]


def test_what_cannot_be_read_is_one_line(
    environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = os.open

    def refuses(path: str, *more: int) -> int:  # root may read everything
        if path.endswith("till.so"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *more)

    monkeypatch.setattr(os, "open", refuses)
    status, out, _ = audit(capsys, environment)
    assert status == 1
    assert re.search(r"^not looked at: \S+/till\.so: Permission denied$", out, re.M)
    assert out.endswith("; not all could be looked at\n")


def _huge_header(kind: bytes, size: int = 1 << 30) -> bytes:
    block = bytearray(512)
    block[:10] = b"./@LongLnk"
    block[124:136] = b"%011o\0" % size
    block[156:157] = kind
    block[257:265] = b"ustar  \0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("kind", [b"L", b"K", b"x"])
def test_a_header_of_a_gigabyte_is_not_read(kind: bytes, tmp_path: Path) -> None:
    image = tmp_path / "image.tar"
    with image.open("wb") as file:
        file.write(_huge_header(kind))
        file.truncate(1 << 31)
    with pytest.raises(UnreadableError, match=r"a header of 1,073,741,824 bytes"):
        look(image)


def test_what_expands_without_end_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "LEAST_BUDGET", 1 << 20)
    size = 8 << 20
    data = bytearray(elf())
    struct.pack_into("<QQ", data, 64 + 32, size, size)  # its data is as large as it says
    data[128:] = bytes(size)
    write(
        tmp_path,
        {
            "bomb.whl": wheel("bomb", "1", {"bomb.so": bytes(data)}),
            "bomb.tar": audited.oci([tar([("bomb.so", bytes(data))])]),
        },
    )
    for name in ("bomb.whl", "bomb.tar"):
        looked = look(tmp_path / name)
        assert not looked.whole
        assert any("expands to more than 200 times its size" in one.why for one in looked.problems)


@pytest.mark.parametrize("make", [audited.docker_save, audited.oci])
def test_an_image_that_is_cut_off_is_not_called_clean(
    make: Callable[[list[bytes]], bytes], tmp_path: Path
) -> None:
    """Wherever it is cut, at the blocks of a tar too."""
    whole = make([tar([("a.so", elf()), ("b.so", elf())])])
    with_layer_cut = make([tar([("a.so", elf()), ("b.so", elf())])[:2048]])
    (tmp_path / "image.tar").write_bytes(with_layer_cut)
    assert not look(tmp_path / "image.tar").whole
    for length in (700, 1024, 2048, len(whole.rstrip(b"\0")) // 512 * 512):
        (tmp_path / "image.tar").write_bytes(whole[:length])
        with pytest.raises(UnreadableError, match="cannot be read to its end"):
            look(tmp_path / "image.tar")


def test_a_file_that_lies_of_its_sizes_is_no_go() -> None:
    def version(data: bytes) -> str | None:
        binary = buildinfo.read(lambda offset, size: data[offset : offset + size])
        return binary and binary.version

    for whole in (elf(), audited.macho(), audited.pe()):
        for start in range(4, whole.index(b"go1.22.5") - 4):
            for lie in (b"\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0"):
                changed = whole[:start] + lie + whole[start + len(lie) :]
                assert version(changed) in (None, buildinfo.UNKNOWN, "go1.22.5")
            assert version(whole[:start]) in (None, buildinfo.UNKNOWN)


def test_damage_is_never_a_traceback(shipped_library: Path, tmp_path: Path) -> None:
    beside = write(tmp_path / "beside", {"file": b"x"})
    before = sorted(tmp_path.rglob("*"))
    results, longest = audited.mangle(MANGLED, 28, shipped_library.read_bytes(), tmp_path)
    shutil.rmtree(tmp_path / "mangled")
    assert sorted(tmp_path.rglob("*")) == before
    assert (beside / "file").read_bytes() == b"x"
    assert {result for _, result in results} <= {
        *("found", "nothing", "unreadable", "found, with problems", "nothing, with problems"),
    }
    assert {kind for kind, result in results if result == "found"} == set(audited.seeds(b""))
    assert longest < 20


def test_a_tar_is_read_as_tarfile_reads_it(tmp_path: Path) -> None:
    long = "d" * 90 + "/" + "f" * 120
    whole: audited.Members = [(long, b"x" * 700), ("é" * 60, b""), ("folder", None), ("./plain", b"1")]
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        members = whole if form != tarfile.USTAR_FORMAT else whole[2:]
        path = tmp_path / f"{form}.tar"
        with tarfile.open(path, "w", format=form) as archive:
            for name, data in members:
                one = tarfile.TarInfo(name)
                one.type, one.size = (tarfile.DIRTYPE, 0) if data is None else (tarfile.REGTYPE, len(data))
                source = tmp_path / "source"
                source.write_bytes(data if isinstance(data, bytes) else b"")
                with source.open("rb") as content:
                    archive.addfile(one, content)
        with path.open("rb") as file:
            ours = [(one.name, one.kind, one.data.read(one.size)) for one in tars.members(file)]
        assert ours == [
            (name.removeprefix("./"), "folder" if data is None else "file", data or b"")
            for name, data in members
        ]


# With --measure.


def test_measuring_shows_what_a_short_run_can_show(
    shipped_library: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shipped_library.parent)  # where the function is that calls it
    call = f"{shipped_library_module.MODULE}:add"
    status, out, err = audit(
        capsys, "--measure", shipped_library, "--call", call, "--format", "json", "--fail-on", "slow"
    )
    assert f"--measure loads {shipped_library} and calls {call}" in err
    document = json.loads(out)
    (measured,) = document["measured"]
    assert measured["main"]["questions_a_call"] == 0
    assert measured["ratio"] > 0
    assert measured["places"]["foreign-below"] == {"kind": "passed", "headline": "passed"}
    assert measured["shown"] == {"golib-9": ["after-foreign"], "golib-10": ["sigprof-blocked"]}
    (library,) = document["libraries"]
    shown = {one["id"] for one in library["issues"] if one["shown"]}
    assert shown == set(measured["shown"])
    assert status == 1


def test_measuring_says_what_dies_of_the_call(
    shipped_library: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shipped_library.parent)
    module = shipped_library_module.MODULE
    status, out, _ = audit(
        capsys, "--measure", shipped_library, "--call", f"{module}:panic", "--fail-on", "slow"
    )
    assert status == 1
    assert "  main thread:    the process died of the call\n" in out
    assert "  passed at 0 of " in out
    assert "): panic: as shipped (no known issue explains it)\n" in out
    status, out, _ = audit(capsys, "--measure", shipped_library, "--call", f"{module}:fails")
    assert status == 2
    assert "it cannot be measured: ZeroDivisionError: division by zero at an ordinary place" in out
