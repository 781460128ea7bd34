# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes is removed in order, and nothing more once another run is in charge; the engine is a script here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from support.modules import run_module

pytestmark = pytest.mark.once
NAME = "slipway-test-absent"
# Each object is a file KIND/NAME; a container's holds its labels. When `intruder` names an object, its removal lets
# another run take over.
ENGINE = """#!/bin/bash
cd "{home}" && echo "$*" >>calls
case "$1 $2" in
  *" inspect") [ -e "$1/$5" ] && echo "$5" || {{ echo "Error: No such $1: $5" >&2; exit 1; }} ;;
  "ps "*) grep -lF "${{3#--filter=label=}}" container/* | xargs -rn1 basename ;;
  "volume ls") ls volume ;;
  "stop "*) [ -e "container/$4" ] ;;
  *" rm") rm "$1/${{*: -1}}" && [ "$(cat intruder 2>/dev/null)" != "${{*: -1}}" ] || echo 2 >fence ;;
esac
"""
OF_EACH_KIND = {
    "containers": [f"{NAME}-postgres", "no-such-container"],
    "label": f"slipway.backend={NAME}",
    "volumes": [f"{NAME}-postgres-[0-9]+"],
    "network": NAME,
    "stop_timeout": 7,
}
REMOVED = [
    f"Removed container {NAME}-postgres.",
    f"Removed container {NAME}-a.",
    f"Removed container {NAME}-b.",
    f"Removed volume {NAME}-postgres-16.",
    f"Removed volume {NAME}-postgres-17.",
    f"Removed network {NAME}.",
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine with what is to go, and neighbours."""
    program = tmp_path / "bin/docker"
    objects = {
        "container": {f"{NAME}-postgres": "", f"{NAME}-a": NAME, f"{NAME}-b": NAME, "other": "another"},
        "volume": {f"{NAME}-postgres-16": "", f"{NAME}-postgres-17": "", f"{NAME}-postgres-17-mine": ""},
        "network": {NAME: "", "bridge": ""},
    }
    for kind, names in objects.items():
        (tmp_path / kind).mkdir()
        for name, label in names.items():
            (tmp_path / kind / name).write_text(f"slipway.backend={label}\n" if label else "")
    program.parent.mkdir()
    program.write_text(ENGINE.format(home=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (tmp_path / "fence").write_text("1")
    return tmp_path


def left(home: Path) -> list[str]:
    return sorted(f"{path.parent.name}/{path.name}" for kind in ("container", "volume", "network")
                  for path in (home / kind).iterdir())  # fmt: skip


def absent(*, check: bool = False, **arguments: Any) -> dict[str, Any]:
    return run_module("docker_absent", arguments, check=check)


def test_check_apply_and_again(home: Path) -> None:
    everything = left(home)
    planned = absent(check=True, **OF_EACH_KIND)
    assert (planned["changed"], planned["actions"], left(home)) == (True, REMOVED, everything)

    done = absent(**OF_EACH_KIND)
    assert (done["changed"], done["actions"]) == (True, REMOVED)
    assert left(home) == ["container/other", "network/bridge", f"volume/{NAME}-postgres-17-mine"]
    calls = (home / "calls").read_text().splitlines()
    assert f"stop -t 7 {NAME}-a" in calls
    assert f"container rm --volumes {NAME}-a" in calls
    for again in (True, False):
        assert absent(check=again, **OF_EACH_KIND)["actions"] == []


def test_nothing_named_removes_nothing(home: Path) -> None:
    everything = left(home)
    assert absent()["changed"] is False
    assert left(home) == everything


@pytest.mark.parametrize(("last", "gone"), [("", 0), (f"{NAME}-a", 2), (f"{NAME}-postgres-16", 4)])
def test_a_run_that_is_not_in_charge_any_more(
    home: Path, monkeypatch: pytest.MonkeyPatch, last: str, gone: int
) -> None:
    """It removes nothing after ``last``, the object during whose removal another run took over."""
    everything = left(home)
    (home / "intruder").write_text(last)
    if not last:
        (home / "fence").write_text("2")
    monkeypatch.setenv("SLIPWAY_FENCE", f"1 {home}")
    assert absent(**OF_EACH_KIND)["msg"].startswith(f"Run 1 is not in charge of {home} any more, because run 2 has")
    assert len(everything) - len(left(home)) == gone


def test_what_the_engine_refuses(home: Path) -> None:
    (home / "bin/docker").write_text("#!/bin/sh\necho 'permission denied' >&2; exit 1\n")
    assert absent(network=NAME)["msg"] == (
        f"The Docker engine can't be asked for network {NAME}: permission denied; start it, or allow this user to "
        "reach it."
    )
