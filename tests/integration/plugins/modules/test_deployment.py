# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock and the ledger as a playbook uses them: the module by itself, then with its action plugin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import in_charge
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.record_files import stem
from support.deployment import LIVE, Host
from support.rehearsals import REHEARSAL
from support.runs import FOUND

pytestmark = pytest.mark.once

# One that has died.
DEAD = replace(LIVE, user="zoe", pid=4194305)
REMOTE = replace(DEAD, controller="runner-7", machine="another", boot="another")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_one_deploy_after_another(host: Host) -> None:
    nothing_yet = {"run": asdict(LIVE), "fence": 0, "last": None, "current": "", "current_revision": ""}
    assert host.run("locked", check=True)["deployment"] == nothing_yet
    assert not host.state.exists()
    for _ in range(2):
        found = host.run("locked")["deployment"]
        number = in_charge(host.state)
        run = {**asdict(LIVE), "fence": number}
        assert found == {**nothing_yet, "run": run, "fence": number}
        assert host.holder() == run
    record = {"verb": "deploy", "status": "succeeded", "release": "v1", "revision": "c1", "phases": []}
    host.run("unlocked", check=True, record=record)
    assert (host.holder(), host.ledger()) == (run, [])
    host.run("unlocked", record=record)
    assert (host.holder(), host.ledger()) == (None, [{**record, "run": run}])

    failed = {**record, "status": "failed", "release": "v2"}
    # It was run from another commit than the release that it puts back was deployed from.
    rolled_back = {**record, "verb": "rollback", "revision": "c2"}
    for number, ending in enumerate((failed, rolled_back)):
        host.run("locked")
        host.run("unlocked", record=ending)
        again = host.run("locked")["deployment"]
        assert again["last"]["release"] == ("v2", "v1")[number]
        assert (again["current"], again["current_revision"]) == ("v1", "c1")


def test_a_server_that_a_copy_was_on_goes_with_the_run(host: Host, tmp_path: Path) -> None:
    home = tmp_path / "backups" / "throwaway"
    home.mkdir(parents=True)
    where = {"backup_directory": str(home.parent)}
    assert (host.run("locked", check=True, **where)["actions"], home.exists()) == ([], True)
    said = [f"Removed the throw-away server in {home}, which a run left behind."]
    assert (host.run("locked", **where)["actions"], home.exists()) == (said, False)
    home.mkdir()
    assert (host.run("unlocked", **where)["actions"], home.exists()) == (said, False)
    home.mkdir()
    assert (host.run("unlocked", **where)["actions"], home.exists()) == ([], True)  # the lock is no longer its own


def test_lock_of_another_controller(host: Host) -> None:
    host.lock(REMOTE)
    for check in (True, False):
        assert host.run("locked", check=check)["msg"] == (
            f"autotest/test is locked: deploy by zoe@runner-7 (pid 4194305) since {REMOTE.since}; run again when that "
            "has ended, have this run wait for it by -e lock_wait=600, or, if it is dead, run slipway.deploy.unlock."
        )
    assert "is not broken, since its run is not known to be dead: deploy by zoe@runner-7" in host.run("broken")["msg"]
    assert host.holder() == asdict(REMOTE)
    for check in (True, False):
        assert host.holder() == asdict(REMOTE)
        assert host.run("broken", check=check, force=True)["actions"] == [f"Broke the lock: {REMOTE.describe()}."]
    assert host.run("broken")["actions"] == []
    assert host.holder() is None


def test_run_whose_lock_was_broken_says_so_at_its_end(host: Host) -> None:
    host.run("locked")
    assert "warnings" not in host.run("unlocked")
    for holder, said in ((REMOTE, f"It is held by another: {REMOTE.describe()}."), (None, "Nobody holds it.")):
        host.run("locked")
        host.run("broken", force=True)
        if holder:
            host.lock(holder)
        found = host.run("unlocked", record={"verb": "deploy"})
        assert found["actions"] == []
        assert (
            "The lock of autotest/test was taken from this run while it worked, so another run may have worked at the "
            f"same time. {said} Compare their records in deployments.jsonl."
        ) in str(found["warnings"])
        if holder:
            assert host.holder() == asdict(REMOTE)
            host.run("broken", force=True)


def test_corrupt_lock(host: Host) -> None:
    host.state.mkdir()
    (host.state / "lock.json").write_text("{")
    for state in ("locked", "unlocked", "broken"):
        assert host.run(state)["msg"] == (
            f"The lock {host.state}/lock.json can't be read (Expecting property name enclosed in double quotes: line 1 "
            "column 2 (char 1)): see that no run works, delete it and run again."
        )


def test_state_directory_that_cannot_be(host: Host) -> None:
    host.state.write_text("a file")
    assert host.run("locked")["msg"] == (
        f"The state directory {host.state} can't be used: File exists: '{host.state}'; fix that, or set state_dir."
    )


@pytest.mark.parametrize("state", ["locked", "broken"])
def test_directory_of_another_environment(host: Host, state: str) -> None:
    """Its lock, or what it remembers of its database, says whose it is; not even by force it is taken."""
    host.lock(replace(DEAD, environment="prod"))
    before = host.holder()
    for check in (True, False):
        assert host.run(state, check=check, force=True)["msg"] == (
            f"{host.state} is of autotest/prod, as its lock says, but this inventory is autotest/test: nothing was "
            "changed; use the right inventory, or the right state directory in this one."
        )
    assert host.holder() == before
    (host.state / "lock.json").unlink()
    (host.state / "database.json").write_text('{"system_identifier": "1", "environment": "prod"}')
    for check in (True, False):
        assert host.run(state, check=check, force=True)["msg"] == (
            f"{host.state}/database.json says that the database belongs to environment 'prod' but this inventory is "
            "'test': nothing was changed; use the right inventory, or the right state directory in this one."
        )
    assert [path.name for path in host.state.iterdir()] == ["database.json"]


def test_run_joins_another_host(host: Host) -> None:
    assert host.run("joined", fence=7, check=True)["deployment"]["fence"] == 0
    assert not host.state.exists()
    found = host.run("joined", fence=7)
    assert (found["deployment"]["fence"], found["actions"], in_charge(host.state)) == (7, [], 7)
    assert host.run("joined", fence=7)["actions"] == []
    assert "run 7 is in charge" in host.run("joined", fence=6)["msg"]
    assert host.holder() is None


@pytest.mark.parametrize("state", ["locked", "broken", "joined"])
def test_what_a_dead_run_left_at_work_is_ended(host: Host, state: str) -> None:
    host.lock(DEAD)
    program = "import os, time; os.close(1); time.sleep(60)"
    mark = {"SLIPWAY_FENCE": f"1 {host.state}"}
    with subprocess.Popen([sys.executable, "-c", program], env=mark, stdout=subprocess.PIPE) as orphan:
        assert orphan.stdout
        orphan.stdout.read()  # until it runs
        more = {"fence": 2} if state == "joined" else {"take_over": asdict(DEAD)}
        found = host.run(state, **more)
        said = f"Ended process {orphan.pid}, which an earlier run left at work: {os.path.basename(sys.executable)}."
        assert found["actions"][-1] == said
        assert orphan.wait(10) == -signal.SIGTERM


def test_live_holder_is_named(host: Host) -> None:
    host.lock(LIVE)
    assert LIVE.describe() in host.ansible("locked")["msg"]
    assert host.holder() == asdict(LIVE)


def test_dead_holder_is_succeeded(host: Host) -> None:
    host.lock(DEAD)
    assert "msg" not in host.ansible("locked", "--check")
    assert host.holder() == asdict(DEAD)
    found = host.ansible("locked", records=str(host.home / "runs"))
    assert found["actions"] == [f"Took over the lock of a dead run: {DEAD.describe()}."]
    [record] = host.ledger()
    assert (record["status"], record["run"]) == ("interrupted", asdict(DEAD))
    page = host.home / "runs" / f"{stem(record)}.html"
    assert "interrupted" in page.read_text()
    assert json.loads(page.with_suffix(".json").read_text()) == record
    assert host.holder() == found["deployment"]["run"]
    assert found["deployment"]["run"]["machine"] == LIVE.machine


def test_lock_is_broken_when_its_run_is_dead(host: Host) -> None:
    host.lock(LIVE)
    assert LIVE.describe() in host.ansible("broken")["msg"]
    assert host.holder() == asdict(LIVE)
    host.lock(DEAD)
    assert host.ansible("broken")["actions"] == [f"Broke the lock: {DEAD.describe()}."]
    assert host.holder() is None


SECRET = "hunter2-of-the-owner"
ENDED = {"status": "succeeded", "started": "2026-01-02T03:04:05+00:00", "release": "3f1d"}


def ended(host: Host, *flags: str, **more: object) -> tuple[dict[str, Any], str]:
    """A run comes to its end: its result, and where its record and its page are."""
    host.state.mkdir(exist_ok=True)
    runs = host.home / "runs"
    variables = [
        "--extra-vars",
        json.dumps({"owner_password": SECRET, "app_environment": {"URL": f"x://me:{SECRET}@db/"}}),
    ]
    told = {**ENDED, "records": str(runs), "secrets": ["owner_password", "app_environment"], **more}
    return host.ansible("unlocked", *variables, *flags, **told), str(runs)


def test_a_run_leaves_its_record_and_its_page_on_the_controller(host: Host) -> None:
    checked, runs = ended(host, "--check")
    assert checked["report"][0].endswith("nothing was written (check mode)")
    assert not Path(runs).exists()
    rehearsal = [{**REHEARSAL[0], "migration": f"1_of_{SECRET}"}]
    done, runs = ended(host, found=FOUND, rehearsal=rehearsal, facts={"address": f"http://{SECRET}/"})
    page, record = sorted(Path(runs).iterdir())
    assert page.name == f"{stem(host.ledger()[-1])}.html"
    assert done["report"][-1] == f"  page        {page}"
    kept = json.loads(record.read_text())
    assert kept["schema"] == {
        "before": FOUND["before"]["schema"]["relations"],
        "after": FOUND["verified"]["schema"]["relations"],
    }
    assert {**host.ledger()[-1], "schema": kept["schema"]} == kept
    for file in (page, record, host.state / "deployments.jsonl"):
        assert SECRET not in file.read_text()
        assert "1_of_********" in file.read_text()
        assert file.stat().st_mode & 0o077 == 0


def test_a_run_that_failed_leaves_them_too(host: Host) -> None:
    done, runs = ended(host, status="failed", failed_phase="migrate")
    [page] = Path(runs).glob("*.html")
    assert done["msg"].endswith(
        f"The run is recorded in {host.state}/deployments.jsonl on localhost, its page is {page}."
    )
    assert "failed in migrate" in page.read_text()


def test_they_can_not_be_written(host: Host) -> None:
    (host.home / "runs").write_text("a file")
    done, _runs = ended(host)
    assert "failed" not in done
    assert host.ledger()[-1]["status"] == "succeeded"
    assert "page" not in str(done["report"])


def test_the_ledger_can_not_be_written(host: Host) -> None:
    """Then the controller alone has the record."""
    (host.state / "deployments.jsonl").mkdir(parents=True)
    done, runs = ended(host)
    assert "can't be used" in done["msg"]
    [record] = Path(runs).glob("*.json")
    assert json.loads(record.read_text())["run"]["controller"] == LIVE.controller
