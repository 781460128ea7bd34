# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of cron, for hosts and users for whom systemd starts nothing on time."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, replace_file

DIRECTORY = Path("/etc/cron.d")
PROCESSES = Path("/proc")
NAMES = ("cron", "crond")
_SHORT = {
    "minutely": "* * * * *", "hourly": "0 * * * *", "daily": "0 0 * * *", "weekly": "0 0 * * 1",
    "monthly": "0 0 1 * *", "quarterly": "0 0 1 1,4,7,10 *", "semiannually": "0 0 1 1,7 *", "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
}  # fmt: skip
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_PART = r"[\d*/,.]+"
_TIME = re.compile(
    rf"(?:(?P<weekday>[A-Za-z,.]+)(?: |$))?(?:(?:\*-)?(?P<month>{_PART})-(?P<day>{_PART})(?: |$))?"
    rf"(?:(?P<hour>{_PART}):(?P<minute>{_PART})(?::0?0)?)?"
)
_BOUNDS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12)}
_CYCLE = 8 * 366  # days in which each date comes, the 29th of February too


def runs() -> bool:
    """Whether a cron runs on this host."""
    return any(read(str(each / "comm")).strip() in NAMES for each in PROCESSES.iterdir() if each.name.isdigit())


def fields(when: str) -> str:
    """The five fields of crontab(5) for a time of systemd.time(7).

    SlipwayError for one that cron can't be told: with seconds, a year, a time zone, or days both of the week and of the
    month, of which cron takes either.
    """
    if when.lower() in _SHORT:
        return _SHORT[when.lower()]
    found = _TIME.fullmatch(when.strip())
    try:
        if not when.strip() or found is None:
            raise ValueError
        told = {"minute": "0", "hour": "0", "day": "*", "month": "*"}
        told.update({name: part for name, part in found.groupdict().items() if part})
        weekday = _weekdays(found["weekday"]) if found["weekday"] else "*"
        made = [_field(told[name], *_BOUNDS[name]) for name in ("minute", "hour", "day", "month")]
        if weekday != "*" and made[2] != "*":
            raise ValueError
    except ValueError:
        raise SlipwayError(
            f"{when!r} is no time that cron can be told: write it as *-*-* HH:MM, *-*-1 HH:MM or Sun HH:MM, or as "
            "hourly, daily, weekly or monthly."
        ) from None
    return " ".join([*made, weekday])


def latest(when: str, now: float) -> float:
    """The last time that ``when`` names up to ``now``, in the host's time zone; both in seconds since 1970.

    A time that a clock leaves out in spring is the moment an hour before, one that it has twice in autumn is the first.
    SlipwayError for what cron can't be told, and for a date that never comes.
    """
    told = zip(fields(when).split(), [*_BOUNDS.values(), (0, 6)])
    minutes, hours, days, months, weekdays = (_values(field, *bounds) for field, bounds in told)
    today = datetime.datetime.fromtimestamp(now).date()
    for back in range(_CYCLE):
        day = today - datetime.timedelta(days=back)
        if day.day not in days or day.month not in months or day.isoweekday() % 7 not in weekdays:
            continue
        times = (datetime.datetime(day.year, day.month, day.day, hour, minute) for hour in hours for minute in minutes)
        moments = (min(time.timestamp(), time.replace(fold=1).timestamp()) for time in times)
        if past := [moment for moment in moments if moment <= now]:
            return max(past)
    raise SlipwayError(f"{when!r} never comes: name a day that there is in that month.")


def _values(field: str, lowest: int, highest: int) -> set[int]:
    """The numbers that a field of crontab(5) names."""
    found: set[int] = set()
    for part in field.split(","):
        bounds, _slash, step = part.partition("/")
        first, _dash, last = (f"{lowest}-{highest}" if bounds == "*" else bounds).partition("-")
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


def _field(text: str, lowest: int, highest: int) -> str:
    """One component of such a time as a field: ``1,5``, ``1..5``, ``*/2`` and ``5/10``."""
    made = []
    for part in text.split(","):
        value, repeated, step = part.partition("/")
        bounds = [] if value == "*" else [int(each) for each in value.split("..")]
        if len(bounds) > 2 or bounds != sorted(bounds) or not all(lowest <= each <= highest for each in bounds):
            raise ValueError
        if repeated and int(step) < 1:
            raise ValueError
        if repeated and len(bounds) == 1:
            bounds.append(highest)
        made.append(("-".join(map(str, bounds)) or "*") + (f"/{int(step)}" if repeated else ""))
    return ",".join(made)


def _weekdays(text: str) -> str:
    """Days of the week as numbers, of which 0 is Sunday."""
    chosen: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("..")
        ends = [_DAYS.index(each[:3]) for each in (first, last or first)]
        chosen |= set(range(ends[0], ends[1] + 1))
        if ends[0] > ends[1]:
            raise ValueError
    return ",".join(str(day) for day in sorted((day + 1) % 7 for day in chosen))


@dataclass(frozen=True)
class Entry:
    """What cron starts under a name: a file in /etc/cron.d for root, else two lines in the user's own crontab."""

    name: str

    @property
    def file(self) -> Path | None:
        """The file; None where it is the user's crontab."""
        return DIRECTORY / self.name if os.geteuid() == 0 and DIRECTORY.is_dir() else None

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return str(self.file or "the user's crontab")

    def text(self, when: str, command: str) -> str:
        """What it has to be, for a time of systemd.time(7) and a command of sh, in which cron takes % for an end."""
        user = "root " if self.file else ""
        escaped = command.replace("%", r"\%")
        return f"{self._mark}\n{fields(when)} {user}{escaped}\n"

    def found(self) -> str:
        """What it is now; '' where there is none."""
        return read(str(self.file)) if self.file else self._split()[1]

    def write(self, text: str) -> None:
        """Have cron start it by this text, or no more where that is ''."""
        if self.file is None:
            _crontab("-", told=self._split()[0] + text)
        elif text:
            replace_file(str(self.file), text.encode(), 0o644)
        else:
            self.file.unlink(missing_ok=True)

    @property
    def _mark(self) -> str:
        return f"# Written by Slipway: {self.name}"

    def _split(self) -> tuple[str, str]:
        """The user's crontab without the entry, and the entry."""
        lines = _crontab("-l").splitlines(keepends=True)
        at = next((number for number, line in enumerate(lines) if line.rstrip("\n") == self._mark), len(lines))
        return "".join(lines[:at] + lines[at + 2 :]), "".join(lines[at : at + 2])


def _crontab(option: str, told: str | None = None) -> str:
    """What crontab(1) says; '' for a user who has none. SlipwayError with its own words when it fails."""
    try:
        done = subprocess.run(["crontab", option], input=told, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        if option == "-l" and isinstance(error, FileNotFoundError):
            return ""  # without cron nobody has a crontab
        said = plain(error) if isinstance(error, OSError) else "it has not ended within 60 s"
        raise SlipwayError(f"crontab failed ({said}): see that cron is installed on this host.") from error
    if done.returncode and not (option == "-l" and "no crontab" in done.stderr):
        raise SlipwayError(
            f"crontab {option} failed: {' '.join(done.stderr.split())}; see that this user may use cron."
        )
    return "" if done.returncode else done.stdout
