# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever goes wrong with another release, the one that served goes on serving."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.proxy import SECRET, Proxy, proxy

pytestmark = pytest.mark.once


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Proxy]:
    with proxy(tmp_path) as found:
        yield found


FAULTS = {
    "new two broken": (
        "nginx does not accept the new {file}, so the old one was put back and still serves; correct the "
        "configuration:\nnginx: [emerg] unknown directive"
    ),
    "new two down": (
        "Through nginx the new release does not answer: {url} answers 503; the old configuration was put back and "
        "serves. See whether new can be reached from nginx, whose log ends below.\nnothing at "
        "postgresql://app:********@db"
    ),
}


@pytest.mark.parametrize("content", FAULTS)
def test_what_does_not_serve_is_taken_back(nginx: Proxy, content: str) -> None:
    nginx.container("new", "running")
    failed = nginx.switch(content)
    assert failed["msg"] == FAULTS[content].format(file=nginx.file, url=nginx.url)
    assert SECRET not in json.dumps(failed)
    assert (nginx.file.read_text(), nginx.served) == ("old one\n", "old one\n")
    assert not any(call.startswith(("stop", "rm")) for call in nginx.calls)
    assert nginx.switch("new two")["changed"]
    assert nginx.served == "new two"


def test_the_failure_is_told_when_the_release_of_before_answers_again(nginx: Proxy) -> None:
    nginx.container("new", "running")
    (nginx.home / "late").touch()
    failed = nginx.switch("new two down")
    assert nginx.served == "old one\n"
    assert "answers 503; the old configuration was put back and serves." in failed["msg"]


def test_a_release_that_says_it_is_another_is_told_at_once(nginx: Proxy) -> None:
    failed = nginx.switch("new two", value="three", verify_timeout=60)
    assert failed["msg"] == (
        "Through nginx container new answers with X-Release 'two' instead of 'three': it is reached, but is another "
        "release than the one that was deployed, or says so by mistake. The old configuration was put back and serves. "
        "Let the application say in X-Release the release that it is given, or name no such header: then the container "
        "alone tells."
    )
    assert (nginx.file.read_text(), nginx.served) == ("old one\n", "old one\n")


def test_a_maintenance_ends_with_the_switch_and_not_before(nginx: Proxy) -> None:
    nginx.container("new", "running")
    files = [nginx.file.with_name(f"maintenance-{release}") for release in ("one", "two")]
    for file in files:
        file.touch()
    assert "does not answer" in nginx.switch("new two down")["msg"]
    assert [file.exists() for file in files] == [True, False]  # the one that serves does not work
    said = "nginx no longer answers that the application is not available."
    assert said in nginx.switch("new two", check=True)["actions"]
    assert files[0].exists()
    assert said in nginx.switch("new two")["actions"]
    assert not files[0].exists()
    files[1].touch()
    again = nginx.switch("new two")
    assert (again["changed"], again["actions"], files[1].exists()) == (True, [said], False)
    assert nginx.switch("new two")["changed"] is False


def test_an_old_worker_that_answers_still_is_no_fault(nginx: Proxy) -> None:
    assert nginx.switch("new two turns")["changed"]
    assert nginx.served == "new two turns"


def test_what_was_not_there_before_is_not_there_after_a_failure(nginx: Proxy) -> None:
    nginx.file.unlink()
    assert "nginx does not accept the new " in nginx.switch("new two broken")["msg"]
    assert not nginx.file.exists()


def test_workers_that_are_still_busy_are_warned_of(nginx: Proxy) -> None:
    found = nginx.switch("new two busy", drain_timeout=0)
    assert "nginx: old workers are still busy after 0 s." in str(found["warnings"])
    assert found["changed"]


def test_what_other_releases_and_dead_runs_left_goes(nginx: Proxy) -> None:
    states = {"new": "running", "old": "running", "older": "exited"}
    listing = "".join(json.dumps({"Names": name, "State": state}) + "\n" for name, state in states.items())
    (nginx.home / "listing").write_text(listing)
    (nginx.home / "leftovers").write_text("seed-1\n")
    labels = {"upstream_label": "slipway.backend=shop", "leftover_label": "slipway.leftover=shop"}
    actions = [
        f"Wrote {nginx.file}.", "Reloaded nginx.", "Stopped container old.", "Removed container older.",
        "Removed container seed-1, which a run left.",
    ]  # fmt: skip
    assert nginx.switch("new two", check=True, **labels)["actions"] == actions
    assert nginx.file.read_text() == "old one\n"
    done = nginx.switch("new two", **labels)
    assert (done["actions"], sorted(done["timings"])) == (actions, ["drain", "prune", "switch", "test"])
    assert [call for call in nginx.calls if call.startswith(("stop", "rm"))] == [
        "stop old", "rm --volumes older", "rm --force --volumes seed-1",
    ]  # fmt: skip


def test_an_nginx_that_does_not_run_has_its_file_written_for_its_start(nginx: Proxy) -> None:
    nginx.container("nginx", "exited")
    for check in (True, False):
        found = nginx.switch("new two", check=check)
        assert (found["changed"], found["pending"], found["actions"]) == (True, True, [f"Wrote {nginx.file}."])
    again = nginx.switch("new two")
    assert (again["changed"], again["pending"], nginx.served) == (False, True, "old one\n")


def test_an_nginx_that_does_not_answer_keeps_its_file_until_it_does(nginx: Proxy) -> None:
    found = nginx.switch("new two", url="http://127.0.0.1:9/")
    assert (found["changed"], found["pending"], nginx.file.read_text()) == (False, True, "old one\n")
    assert nginx.switch("new two", started=True)["pending"] is False
    assert nginx.served == "new two"


def test_a_place_that_can_not_be_written(nginx: Proxy) -> None:
    said = nginx.switch("new two", path="/proc/none/nginx.conf")["msg"]
    assert said.startswith("/proc/none/nginx.conf can't be written: ")
    assert said.endswith("; give this user the right to write there.")
    nginx.container("nginx", "exited")
    made = nginx.home / "made" / "here" / "nginx.conf"
    assert nginx.switch("new two", path=str(made))["changed"]
    assert made.read_text() == "new two"


def test_what_led_to_the_release_before_leads_back_to_it(nginx: Proxy) -> None:
    nginx.container("new", "running")
    label = {"upstream_label": "slipway.backend=shop"}
    states = {"new": "running", "old": "running"}

    def listing(states: dict[str, str]) -> None:
        text = "".join(json.dumps({"Names": name, "State": state}) + "\n" for name, state in states.items())
        (nginx.home / "listing").write_text(text)

    listing(states)
    nginx.switch("new two", **label)
    former = nginx.home / "former"
    assert [path.name for path in former.iterdir()] == ["old.conf"]
    listing({"new": "running", "old": "running"})
    back = nginx.switch("old one", former=True, **label)
    assert (back["changed"], nginx.served, nginx.file.read_text()) == (True, "old one\n", "old one\n")
    assert sorted(path.name for path in former.iterdir()) == ["new.conf", "old.conf"]
    listing({"old": "running"})  # the other one was removed
    assert not nginx.switch("old one", former=True, **label)["changed"]
    assert [path.name for path in former.iterdir()] == ["old.conf"]
    assert "How requests were led to new was not kept in " in nginx.switch("new two", former=True)["msg"]


def test_what_led_to_the_release_before_is_kept_however_the_switch_ends(nginx: Proxy) -> None:
    """A run that is killed in it finds the new configuration in its place the next time."""
    nginx.container("new", "running")
    (nginx.home / "listing").write_text(json.dumps({"Names": "old", "State": "running"}) + "\n")
    assert nginx.switch("new two down", upstream_label="slipway.backend=shop")["msg"]
    assert (nginx.home / "former" / "old.conf").read_text() == "old one\n"
