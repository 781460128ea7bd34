# SPDX-License-Identifier: GPL-3.0-or-later
"""A record, page, statement or signature that was altered is found; so is one that is gone, or never was signed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.attestation import (
    Verdict,
    attest,
    statement,
    verified,
)
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.record_files import stem, write
from support.runs import WHOLE

RUNS = [{**WHOLE, "started": f"2026-01-02T03:0{number}:00+00:00"} for number in range(3)]
NAMES = [stem(run) for run in RUNS]
FIRST, MIDDLE, LAST = NAMES


def make_key(place: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "x", "-f", str(place)], check=True)
    return place


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs that were signed, the key, and who may sign."""
    home = tmp_path_factory.mktemp("signed")
    key = make_key(home / "key")
    (home / "signers").write_text(f'zoe@example.com namespaces="slipway-run" {key.with_suffix(".pub").read_text()}')
    for run in RUNS:
        write(run, "<p>page", home / "runs")
        attest(run, home / "runs", str(key))
    return home


@pytest.fixture
def home(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "home"))


def problems(home: Path) -> dict[str, str]:
    return {each.name: each.problem for each in verified(home / "runs", home / "signers") if each.problem}


def changed(ending: str, name: str = MIDDLE) -> Callable[[Path], object]:
    """One byte of a file, the last that is not a line's end."""

    def change(home: Path) -> None:
        place = home / "runs" / f"{name}{ending}"
        text = bytearray(place.read_bytes())
        text[len(text.rstrip()) // 2] ^= 1
        place.write_bytes(text)

    return change


def gone(ending: str, name: str = MIDDLE) -> Callable[[Path], object]:
    return lambda home: (home / "runs" / f"{name}{ending}").unlink()


def forgotten(home: Path) -> None:
    for file in (home / "runs").glob(f"{MIDDLE}*"):
        file.unlink()


def exchanged(home: Path) -> None:
    for ending in (".intoto.json", ".intoto.json.sig"):
        shutil.copy(home / "runs" / f"{LAST}{ending}", home / "runs" / f"{MIDDLE}{ending}")


def forged(home: Path) -> None:
    """With another key, which the files of before are not signed with."""
    attest(RUNS[2], home / "runs", str(make_key(home / "other")))


def for_something_else(home: Path) -> None:
    place = home / "runs" / f"{LAST}.intoto.json"
    (home / "signers").write_text(f"zoe@example.com {(home / 'key.pub').read_text()}")
    place.with_suffix(".json.sig").unlink()
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(home / "key"), "-n", "git", str(place)]
    subprocess.run(sign, check=True, capture_output=True)


def test_all_is_as_it_was_signed(home: Path) -> None:
    assert verified(home / "runs", home / "signers") == [Verdict(name, "zoe@example.com", "") for name in NAMES]
    assert {file.stat().st_mode & 0o777 for file in (home / "runs").iterdir()} == {0o600}
    assert verified(home / "nothing", home / "signers") == []


@pytest.mark.parametrize(
    ("what", "found"),
    [
        (changed(".json"), {MIDDLE: "was altered: its record is not what was signed"}),
        (changed(".html"), {MIDDLE: "was altered: its page is not what was signed"}),
        (gone(".json"), {MIDDLE: "was altered: its record is gone"}),
        (gone(".html"), {MIDDLE: "was altered: its page is gone"}),
        (gone(".intoto.json.sig"), {MIDDLE: "is not signed"}),
        (
            changed(".intoto.json"),
            {
                MIDDLE: "has a statement that is not what was signed",
                LAST: f"was altered: the record before it, {MIDDLE}.intoto.json, is not what was signed",
            },
        ),
        (forgotten, {LAST: f"was altered: the record before it, {MIDDLE}.intoto.json, is gone"}),
        (exchanged, {
            MIDDLE: "has a statement that is about something else",
            LAST: f"was altered: the record before it, {MIDDLE}.intoto.json, is not what was signed",
        }),
        (forged, {LAST: "is signed by nobody whom {home}/signers names"}),
        (for_something_else, {LAST: "has a statement that is not what was signed"}),
    ],
    ids=[
        "record", "page", "no-record", "no-page", "no-signature", "statement", "forgotten", "exchanged", "forged",
        "git",
    ],
)  # fmt: skip
def test_what_was_altered_is_found(home: Path, what: Callable[[Path], object], found: dict[str, str]) -> None:
    what(home)
    assert problems(home) == {name: text.format(home=home) for name, text in found.items()}


def test_a_signature_that_was_altered(home: Path) -> None:
    changed(".intoto.json.sig")(home)
    assert MIDDLE in problems(home)


def test_one_that_was_never_signed(home: Path) -> None:
    write({**RUNS[0], "verb": "migrate"}, "", home / "runs")
    assert list(problems(home).values()) == ["is not signed"]


def test_the_oldest_may_be_put_away(home: Path) -> None:
    for file in (home / "runs").glob(f"{FIRST}*"):
        file.unlink()
    assert problems(home) == {}


def test_nobody_to_compare_with(home: Path) -> None:
    with pytest.raises(SlipwayError, match="There is no file of allowed signers at /nowhere, so that no signature"):
        verified(home / "runs", Path("/nowhere"))


@pytest.mark.parametrize("passphrase", ["", "a-passphrase"])
def test_a_key_that_can_not_sign(home: Path, passphrase: str) -> None:
    key = make_key(home / "locked", passphrase) if passphrase else home / "missing"
    with pytest.raises(SlipwayError, match=r"^ssh-keygen did not sign it with .*; give a key without a passphrase"):
        attest(RUNS[0], home / "runs", str(key))
    assert problems(home) == {}


def test_the_shape_of_a_statement() -> None:
    found = statement(WHOLE, {"a.json": "ab"}, {})
    assert (found["_type"], found["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slipway.deploy/run/v1",
    )
    assert found["subject"] == [
        {"name": "shop", "digest": {"slipwayRelease": "3f1d"}},
        {"name": "shop-backend:3f1d", "digest": {"sha256": "ab" * 32}},
    ]
    assert found["predicate"]["files"] == [{"name": "a.json", "digest": {"sha256": "ab"}}]
    clean = statement({**WHOLE, "revision": "12" * 20}, {}, {})
    assert clean["subject"][0]["digest"] == {"slipwayRelease": "3f1d", "gitCommit": "12" * 20}
    assert json.dumps(found)
