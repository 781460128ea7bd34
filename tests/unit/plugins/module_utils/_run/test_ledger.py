# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock has one owner, whoever comes at the same time; the ledger loses no record, whenever a run dies."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._run import ledger as ledgers
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import in_charge
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import (
    Ledger,
    LockedError,
    Run,
    Taken,
    interrupted,
)

ANNA = Run("autotest", "test", "deploy", "anna", "laptop", "m1", 10, "boot", 1, 100, "2025-08-07T12:00:00+00:00")
OTHERS = {
    "another controller": {"controller": "runner"},
    "another boot": {"boot": "later"},
    "another container": {"namespace": 2},
    "another process": {"pid": 11},
    "another process of that number": {"started_ticks": 101},
}
HELD = (
    "autotest/test is locked: deploy by anna@laptop (pid 10) since 2025-08-07T12:00:00+00:00; run again when that "
    "has ended, have this run wait for it by -e lock_wait=600, or, if it is dead, run slipway.deploy.unlock."
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state")


def test_lock_is_taken_once_and_again_by_its_own_process(ledger: Ledger) -> None:
    assert ledger.holder() is None
    assert not ledger.release(ANNA)  # before there is a directory
    taken = ledger.acquire(ANNA)
    assert taken == Taken(in_charge(ledger.directory))
    assert ledger.acquire(replace(ANNA, verb="migrate", since="later")) == taken
    assert ledger.holder() == replace(ANNA, fence=taken.fence)
    assert stat.S_IMODE(ledger.directory.stat().st_mode) == 0o700
    assert sorted(path.name for path in ledger.directory.iterdir()) == ["fence", "lock.json"]
    assert ledger.release(ANNA)
    assert not ledger.release(ANNA)
    assert [path.name for path in ledger.directory.iterdir()] == ["fence"]
    assert ledger.acquire(ANNA).fence > taken.fence


@pytest.mark.parametrize("difference", OTHERS.values(), ids=list(OTHERS))
def test_lock_is_refused_to_another(ledger: Ledger, difference: dict[str, object]) -> None:
    other = replace(ANNA, **difference)  # type: ignore[arg-type]
    holder = replace(ANNA, fence=ledger.acquire(ANNA).fence)
    for attempt in (ledger.acquire, ledger.refuse_other):
        with pytest.raises(LockedError) as caught:
            attempt(other)
        assert (str(caught.value), caught.value.details) == (HELD, {"holder": asdict(holder)})
    with pytest.raises(LockedError):
        ledger.acquire(other, dead=replace(ANNA, pid=99))  # the dead one's lock is gone, another has come
    assert not ledger.release(other)
    assert ledger.holder() == holder
    taken = ledger.acquire(other, dead=ANNA)
    assert taken == Taken(in_charge(ledger.directory), holder, [], interrupted(holder))
    assert ledger.holder() == replace(other, fence=taken.fence)
    assert taken.fence > holder.fence
    assert ledger.release(other)


def test_a_run_waits_for_the_lock_of_one_that_lives(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ben = replace(ANNA, user="ben", pid=11)
    ledger.acquire(ANNA)
    with pytest.raises(LockedError, match="deploy by anna"):
        ledger.acquire_within(0, ben, lambda holder: False)
    told: list[str] = []
    monkeypatch.setattr(progress, "tell", told.append)
    monkeypatch.setattr(ledgers.time, "sleep", lambda _seconds: ledger.release(ANNA))
    taken = ledger.acquire_within(60, ben, lambda holder: False)
    assert ledger.holder() == replace(ben, fence=taken.fence)
    assert told == ["waiting for deploy by anna@laptop (pid 10) since 2025-08-07T12:00:00+00:00"]


def test_a_run_does_not_wait_for_one_that_is_dead(ledger: Ledger) -> None:
    ledger.acquire(ANNA)
    taken = ledger.acquire_within(60, replace(ANNA, pid=11), lambda holder: holder.pid == 10)
    assert taken.former is not None
    assert taken.former.same_process(ANNA)
    record = ledger.newest()
    assert record == taken.interrupted
    assert (record["status"], record["started"], record["run"]) == ("interrupted", ANNA.since, asdict(taken.former))


def test_a_run_that_wrote_its_record_and_then_died_was_not_interrupted(ledger: Ledger) -> None:
    holder = replace(ANNA, fence=ledger.acquire(ANNA).fence)
    own = {"verb": "deploy", "status": "succeeded", "run": asdict(holder)}
    ledger.append(own)
    assert ledger.acquire(replace(ANNA, pid=11), dead=ANNA).interrupted is None
    assert ledger.newest() == own


def test_lock_is_broken_only_when_its_run_is_dead_or_by_force(ledger: Ledger) -> None:
    assert ledger.break_lock(dead=None, force=False) == Taken(0)
    holder = replace(ANNA, fence=ledger.acquire(ANNA).fence)
    for dead in (None, replace(ANNA, pid=99)):
        with pytest.raises(SlipwayError) as caught:
            ledger.break_lock(dead, force=False)
        assert (str(caught.value), caught.value.details) == (
            "The lock of autotest/test is not broken, since its run is not known to be dead: deploy by anna@laptop "
            "(pid 10) since 2025-08-07T12:00:00+00:00; end that run, or see that it is dead and add -e force=true.",
            {"holder": asdict(holder)},
        )
    for arguments in ((ANNA, False), (None, True)):
        holder = replace(ANNA, fence=ledger.acquire(ANNA).fence)
        assert ledger.break_lock(*arguments, write=False) == Taken(0, holder)
        assert (ledger.holder(), in_charge(ledger.directory)) == (holder, holder.fence)
        assert ledger.break_lock(*arguments) == Taken(in_charge(ledger.directory), holder, [], interrupted(holder))
        assert (ledger.holder(), in_charge(ledger.directory) > holder.fence) == (None, True)
        assert ledger.break_lock(*arguments) == Taken(0)


def test_lock_is_on_the_disk_before_it_is_in_place(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    ledger.acquire(ANNA)
    assert synced == [f"{ledger.directory}/fence", f"{ledger.lock}.partial", str(ledger.directory)]


def attempt(directory: Path, pid: int, dead: Run | None) -> bool:
    try:
        Ledger(directory).acquire(replace(ANNA, pid=pid), dead)
    except LockedError:
        return False
    return True


@pytest.mark.parametrize("dead", [None, ANNA], ids=["free", "left by a dead run"])
def test_one_of_many_gets_the_lock(ledger: Ledger, dead: Run | None) -> None:
    if dead:
        ledger.acquire(dead)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        got = pool.starmap(attempt, [(ledger.directory, pid, dead) for pid in range(100, 300)], chunksize=1)
    assert got.count(True) == 1
    holder = ledger.holder()
    assert holder is not None
    assert holder.pid == 100 + got.index(True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ('{"pid": 1', "Expecting ',' delimiter: line 1 column 10 (char 9)"),
        ('{"host": 1}', "Run.__init__() got an unexpected keyword argument 'host'"),
    ],
)
def test_corrupt_lock(ledger: Ledger, text: str, reason: str) -> None:
    ledger.directory.mkdir()
    ledger.lock.write_text(text)
    calls: tuple[Callable[[Run], object], ...] = (ledger.acquire, ledger.release, ledger.refuse_other)
    for call in calls:
        with pytest.raises(SlipwayError) as caught:
            call(ANNA)
        message = f"The lock {ledger.lock} can't be read ({reason}): see that no run works, delete it and run again."
        assert str(caught.value) == message
    assert ledger.lock.read_text() == text


def test_newest_record(ledger: Ledger) -> None:
    assert ledger.newest() is None
    ledger.directory.mkdir()
    records: list[dict[str, object]] = [
        {"verb": "deploy", "status": "succeeded", "release": "1", "phases": [{"name": "x"}]},
        {"verb": "deploy", "status": "failed", "error": "line\u2028break, nächster"},
        {"verb": "migrate", "status": "succeeded"},
    ]
    for record in records:
        ledger.append(record)
    assert [json.loads(line) for line in ledger.records.read_bytes().splitlines()] == records
    assert stat.S_IMODE(ledger.records.stat().st_mode) == 0o600
    assert ledger.newest() == records[2]
    assert ledger.newest(verb="deploy") == records[1]
    assert ledger.newest(verb="deploy", status="succeeded") == records[0]
    assert (ledger.oldest(), ledger.oldest(verb="deploy", status="failed")) == (records[0], records[1])
    assert ledger.oldest(verb="undo") is None
    assert ledger.newest(verb="restore") is None


@pytest.mark.parametrize("cut", [2, 5, 18], ids=["no end", "in a letter", "no text"])
def test_record_cut_short_by_a_crash(ledger: Ledger, cut: int) -> None:
    ledger.directory.mkdir()
    for number in (1, 2):
        ledger.append({"number": number, "text": "ä"})
    ledger.records.write_bytes(ledger.records.read_bytes()[:-cut])
    assert ledger.newest() == {"number": 1, "text": "ä"}
    ledger.append({"number": 3})
    assert ledger.newest() == {"number": 3}
    assert ledger.newest(text="ä") == {"number": 1, "text": "ä"}


def test_records_have_the_numbers_of_their_lines(ledger: Ledger) -> None:
    assert ledger.numbered(20) == []
    with pytest.raises(SlipwayError, match=r"^There is no run 1 in .*/deployments\.jsonl: nothing was recorded yet\.$"):
        ledger.one(1)
    ledger.directory.mkdir()
    ledger.append({"verb": "deploy"})
    with ledger.records.open("a") as opened:
        opened.write('{"cut')
    ledger.append({"verb": "seed"})
    ledger.append({"verb": "backup"})
    assert ledger.numbered(2) == [{"number": 3, "verb": "seed"}, {"number": 4, "verb": "backup"}]
    assert [record["number"] for record in ledger.numbered(20)] == [1, 3, 4]
    assert ledger.one(3) == {"number": 3, "verb": "seed"}
    with pytest.raises(SlipwayError, match=r"^There is no run 2 in .*: they have the numbers up to 4\.$"):
        ledger.one(2)
