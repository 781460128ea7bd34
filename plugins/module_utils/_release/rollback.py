# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release can be put back in the place of the one that serves, and in which ways."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import Row

# The cheapest first: the application alone; its migrations undone as well; the database put back as well.
WAYS = ("application", "undo", "backup")


@dataclass(frozen=True)
class Release:
    """A release that is on the host: its container, since when that exists, and when it was stopped last (UTC)."""

    container: str
    release: str
    # Whether nginx leads requests to it.
    serves: bool
    created: str
    ended: str
    # Whether the configuration that led requests to it was kept.
    led_to: bool = False

    @classmethod
    def parse(cls, inspected: str, config: str, led_to: Collection[str]) -> Release:
        """From a line of ``docker container inspect --format '{{json .}}'`` and nginx's configuration."""
        found = json.loads(inspected)
        name = found["Name"].lstrip("/")
        return cls(
            container=name,
            release=(found["Config"].get("Labels") or {}).get("slipway.release", ""),
            serves=name in config,
            created=found["Created"],
            ended=found["State"].get("FinishedAt", ""),
            led_to=name in led_to,
        )


@dataclass(frozen=True)
class Plan:
    """What a rollback would do, in the order in which its ways are tried."""

    target: Release
    serving: str
    since: tuple[str, ...]
    backup: str
    ways: tuple[str, ...]
    # Why each of the other ways can't be gone.
    barred: Mapping[str, str]

    def result(self) -> dict[str, Any]:
        return {
            "container": self.target.container,
            "release": self.target.release,
            "serving": self.serving,
            "since": list(self.since),
            "backup": self.backup,
            "ways": list(self.ways),
            "barred": dict(self.barred),
        }


def moment(text: str) -> datetime.datetime:
    """A time as the engine, the ledger and the manifests write it: ISO 8601, with up to nine digits of a second."""
    head, _point, fraction = text.replace("Z", "+00:00").partition(".")
    if fraction:
        digits = fraction.partition("+")[0]
        head = f"{head}.{digits[:6].ljust(6, '0')}+{fraction.partition('+')[2] or '00:00'}"
    found = datetime.datetime.fromisoformat(head)
    return found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)


def choose(releases: Iterable[Release], wanted: str) -> Release:
    """The release to put back: the one that is ``wanted``, by its name or its container's; else the last that served.

    Raises SlipwayError where there is none.
    """
    others = sorted((each for each in releases if not each.serves), key=lambda each: each.ended, reverse=True)
    kept = [each for each in others if each.led_to]
    matching = [each for each in kept if wanted in ("", each.release, each.container)]
    if matching:
        return matching[0]
    if any(wanted in ("", each.release, each.container) for each in others):
        raise SlipwayError(
            f"How requests were led to release {wanted or others[0].release} was not kept, since an earlier Slipway "
            "replaced it or it has never served: check out its revision and deploy it."
        )
    if not kept:
        raise SlipwayError(
            "No earlier release is kept on this host, so that there is nothing to roll back to: check out the "
            "revision that you want and deploy it; app_keep_releases says how many stay from now on."
        )
    there = ", ".join(f"{each.release} (until {each.ended[:19]})" for each in kept)
    raise SlipwayError(
        f"Release {wanted!r} is not kept on this host; there is {there}: take one of them with -e to=RELEASE, or "
        "check out the revision of the one that you want and deploy it."
    )


def deployed(target: Release, records: Iterable[Mapping[str, Any]]) -> datetime.datetime:
    """The end of the release's last deploy: what was migrated later came with others, even if it has served since."""
    own = {"verb": "deploy", "release": target.release}
    finished = [record["finished"] for record in records if own.items() <= record.items()]
    return moment(max(finished, default=target.created))


def migrated_since(rows: Iterable[Row], since: datetime.datetime) -> list[Row]:
    """What was applied later, and still is, in the order in which it was."""
    return [row for row in rows if row.state == "applied" and row.started_at > since]


def backup_before(manifests: Iterable[Manifest], bound: datetime.datetime) -> str:
    """The newest proved backup of before ``bound``, '' where there is none."""
    proved = [(moment(each.started), each.name) for each in manifests if each.proved]
    return max((found for found in proved if found[0] < bound), default=(bound, ""))[1]


def plan(
    target: Release, serving: str, rows: Sequence[Row], with_down: Collection[str], backup: str, way: str = ""
) -> Plan:
    """The ways that lead back, the cheapest first; only ``way`` where the operator has named one.

    ``rows`` are the migrations of since then. Raises SlipwayError where that way can't be gone.
    """
    since = tuple(row.name for row in rows)
    missing = [name for name in since if name not in with_down]
    barred = {}
    if not since:
        barred["undo"] = "no migration was applied since then"
    elif missing:
        barred["undo"] = f"{', '.join(missing)} {'has' if len(missing) == 1 else 'have'} no down.sql"
    if not backup:
        barred["backup"] = "there is no proved backup of before"
    elif not since and way != "backup":
        barred["backup"] = "no migration was applied since then"
    if way in barred:
        raise SlipwayError(
            f"Way {way!r} can't be gone, since {barred[way]}: take another one, or leave -e way= out to have the "
            "cheapest that works."
        )
    ways = tuple(each for each in ([way] if way else WAYS) if each not in barred)
    return Plan(target, serving, since, backup, ways, barred)


def differing(then: Mapping[str, int], now: Mapping[str, int]) -> list[dict[str, Any]]:
    """The tables that have another number of rows now than they had then; None for one that was not there."""
    names = sorted({*then, *now})
    return [
        {"table": name, "then": then.get(name), "now": now.get(name)}
        for name in names
        if then.get(name) != now.get(name)
    ]
