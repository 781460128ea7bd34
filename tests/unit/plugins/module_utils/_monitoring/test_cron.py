# SPDX-License-Identifier: GPL-3.0-or-later
"""Times of systemd as cron is told them, and where its entries are; that they start is tested with the module."""

from __future__ import annotations

import datetime
import os
import stat
import time
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import cron


@pytest.mark.parametrize(
    ("when", "fields"),
    [
        ("daily", "0 0 * * *"),
        ("Weekly", "0 0 * * 1"),
        ("*-*-* 03:00:00", "0 3 * * *"),
        ("03:05", "5 3 * * *"),
        ("*-*-1 03:00", "0 3 1 * *"),
        ("*-1,7-15", "0 0 15 1,7 *"),
        ("01-01 03:00:0", "0 3 1 1 *"),
        ("Sun 05:00", "0 5 * * 0"),
        ("sunday", "0 0 * * 0"),
        ("Mon..Fri *-*-* 08..18/2:30", "30 8-18/2 * * 1,2,3,4,5"),
        ("Sat,Sun 4:00", "0 4 * * 0,6"),
        ("*:0/15", "0-59/15 * * * *"),
        ("*:*/10", "*/10 * * * *"),
        ("*:5,35:00", "5,35 * * * *"),
    ],
)
def test_a_time(when: str, fields: str) -> None:
    assert cron.fields(when) == fields


@pytest.mark.parametrize(
    "when",
    [
        "", " ", "every full moon", "*:*:0/2", "*-*-* 03:00:30", "2027-01-01 03:00", "*-*-* 03:00 UTC",
        "Fri *-*-13 03:00", "24:00", "*-13-1", "*-*-0", "3:60", "*:0/0", "*:0/", "*:,5", "*:9..5", "*:1..2..3",
        "Fri..Mon 3:00", "Xxx 3:00", "0 3 * * *", "*-*-* 03:00\n* * * * * root true",
    ],
)  # fmt: skip
def test_what_cron_cannot_be_told(when: str) -> None:
    with pytest.raises(SlipwayError) as caught:
        cron.fields(when)
    assert str(caught.value) == (
        f"{when!r} is no time that cron can be told: write it as *-*-* HH:MM, *-*-1 HH:MM or Sun HH:MM, or as hourly, "
        "daily, weekly or monthly."
    )


@pytest.mark.parametrize(
    ("when", "now", "latest"),
    [
        ("daily", "2026-11-27 09:10:31", "2026-11-27 00:00"),
        ("*-*-* 03:00", "2026-11-27 03:00:00", "2026-11-27 03:00"),
        ("*-*-* 03:00", "2026-11-27 02:59:59", "2026-11-26 03:00"),
        ("*:0/15", "2026-11-27 09:14:59", "2026-11-27 09:00"),
        ("*:*", "2026-11-27 09:14:59", "2026-11-27 09:14"),
        ("08..18/4:30", "2026-11-27 15:00:00", "2026-11-27 12:30"),
        ("Sun 05:00", "2026-11-27 09:00:00", "2026-11-22 05:00"),
        ("Mon..Fri 8:00", "2026-11-29 12:00:00", "2026-11-27 08:00"),
        ("*-*-31 00:00", "2026-11-27 09:00:00", "2026-10-31 00:00"),
        ("yearly", "2026-11-27 09:00:00", "2026-01-01 00:00"),
        ("*-2-29 12:00", "2027-01-01 00:00:00", "2024-02-29 12:00"),
        ("*-*-* 02:30", "2026-03-29 03:00:00", "2026-03-29 01:30"),  # which that night leaves out
        ("*-*-* 02:30", "2026-10-25 02:45:00", "2026-10-25 02:30"),  # which that night has twice
    ],
)
def test_when_it_was_last(when: str, now: str, latest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        found = cron.latest(when, datetime.datetime.fromisoformat(now).timestamp())
        assert str(datetime.datetime.fromtimestamp(found)) == f"{latest}:00"
        assert cron.latest(when, found) == found
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_second_of_two_times_in_autumn_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        first = datetime.datetime(2026, 10, 25, 2, 30).timestamp()
        assert cron.latest("*-*-* 02:30", first + 3600) == first
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_day_that_never_comes() -> None:
    with pytest.raises(SlipwayError) as caught:
        cron.latest("*-2-30", time.time())
    assert str(caught.value) == "'*-2-30' never comes: name a day that there is in that month."


def test_whether_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cron, "PROCESSES", tmp_path)
    for pid, name in (("1", "sh"), ("2", "crontab"), ("self", "cron")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "comm").write_text(f"{name}\n")
    assert cron.runs() is False
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "comm").write_text("crond\n")
    assert cron.runs() is True


COMMAND = "date +%H >'/a b/log'"


def test_a_file_of_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cron, "DIRECTORY", tmp_path)
    monkeypatch.setattr(cron.os, "geteuid", lambda: 0)
    entry = cron.Entry("shop-test-backup")
    text = entry.text("daily", COMMAND)
    assert text == "# Written by Slipway: shop-test-backup\n0 0 * * * root date +\\%H >'/a b/log'\n"
    assert entry.found() == ""
    for _ in range(2):
        entry.write(text)
        assert entry.found() == (tmp_path / "shop-test-backup").read_text() == text
    assert stat.S_IMODE(os.stat(tmp_path / "shop-test-backup").st_mode) == 0o644
    assert entry.place == f"{tmp_path}/shop-test-backup"
    for _ in range(2):
        entry.write("")
        assert list(tmp_path.iterdir()) == []


CRONTAB = """#!/bin/sh
case $1 in
-l) cat "$HOME/crontab" 2>/dev/null || { echo "no crontab for maria" >&2; exit 1; } ;;
-) cat >"$HOME/crontab" ;;
esac
"""


@pytest.fixture
def maria(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of somebody who is not root, with a crontab(1) that keeps what it is given there."""
    monkeypatch.setattr(cron.os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    program = tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(CRONTAB)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return tmp_path


def test_a_users_crontab(maria: Path) -> None:
    table = maria / "crontab"
    backup, drill = cron.Entry("backup"), cron.Entry("backup-drill")
    assert (backup.found(), backup.place) == ("", "the user's crontab")
    table.write_text("# mine\n5 4 * * * true\n")
    backup.write(backup.text("daily", COMMAND))
    drill.write(drill.text("weekly", COMMAND))
    assert backup.found() == "# Written by Slipway: backup\n0 0 * * * date +\\%H >'/a b/log'\n"
    backup.write(backup.text("hourly", COMMAND))
    assert backup.found().splitlines()[1].startswith("0 * * * * date")
    drill.write("")
    assert table.read_text() == f"# mine\n5 4 * * * true\n{backup.found()}"
    backup.write("")
    assert table.read_text() == "# mine\n5 4 * * * true\n"


def test_a_user_without_crontab_or_who_may_have_none(maria: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = maria / "bin" / "crontab"
    program.write_text("#!/bin/sh\necho 'You (maria) are not allowed to use this program' >&2; exit 1\n")
    with pytest.raises(SlipwayError) as caught:
        cron.Entry("backup").found()
    assert str(caught.value) == (
        "crontab -l failed: You (maria) are not allowed to use this program; see that this user may use cron."
    )
    monkeypatch.setenv("PATH", str(maria))
    assert cron.Entry("backup").found() == ""
    with pytest.raises(SlipwayError, match="see that cron is installed on this host"):
        cron._crontab("-", told="")
