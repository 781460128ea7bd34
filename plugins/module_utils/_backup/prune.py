# SPDX-License-Identifier: GPL-3.0-or-later
"""Which older backups are removed once a new one is proved, and how many stay."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest

KEEP_SPEC: dict[str, dict[str, Any]] = {
    "keep": {"type": "int", "default": 14},
    **{
        f"keep_{rule}": {"type": "int", "default": 0}
        for rule in ("days", "hourly", "daily", "weekly", "monthly", "releases", "size")
    },
}
# What a limit on the size of all of them never takes.
UNTOUCHED = 3


@dataclass(frozen=True)
class Keep:
    """How many stay; each rule keeps what it names, whatever the others say, but for ``size``, which comes last.

    ``newest``: so many, and with 0 all. ``days``: what is younger. ``hourly`` to ``monthly``: the last one of so many
    hours, days, weeks (ISO 8601), months that have one. ``releases``: the last one of so many releases, so that each
    can be put back. ``size``: bytes of all dumps, beyond which the oldest go, but never the last three; 0 for no limit.
    """

    newest: int = 0
    days: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    releases: int = 0
    size: int = 0

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Keep:
        """From the options ``keep`` and ``keep_days`` to ``keep_size`` of a module."""
        rules = {name: params[f"keep_{name}"] for name in cls.__dataclass_fields__ if name != "newest"}
        return cls(newest=params["keep"], **rules)

    @property
    def words(self) -> str:
        """The rules, as the reason for a removal says them."""
        periods = ("hourly", "daily", "weekly", "monthly")
        nouns = dict(zip(periods, ("hours", "days", "weeks", "months"), strict=True))
        said = [f"the newest {self.newest} are kept"]
        said += [f"{self.days} days"] if self.days else []
        said += [f"one of each of {number} {nouns[name]}" for name in periods if (number := getattr(self, name))]
        said += [f"the last of {self.releases} releases"] if self.releases else []
        return ", and ".join(said)


Period = Callable[[Manifest], str]
PERIODS: Mapping[str, Period] = {
    "hourly": lambda each: f"{_moment(each):%Y-%m-%d %H}",
    "daily": lambda each: f"{_moment(each):%Y-%m-%d}",
    "weekly": lambda each: f"{_moment(each):%G-%V}",
    "monthly": lambda each: f"{_moment(each):%Y-%m}",
    "releases": lambda each: each.release,
}


def to_prune(manifests: Iterable[Manifest], newest: Manifest, keep: Keep) -> list[tuple[Manifest, str]]:
    """Backups that are no longer needed, each with the reason, newest first.

    ``manifests`` are the whole ones, ``newest`` the one that was just proved, whose application, environment and
    database are meant. An older one of the same content and release goes, so that retries of a failed deploy push
    nothing out; then those that no rule keeps; then the oldest beyond the size.
    """
    if not keep.newest:
        return []
    identity = (newest.application, newest.environment, newest.database)
    same = [m for m in manifests if m.proved and (m.application, m.environment, m.database) == identity]
    different: list[Manifest] = []
    found: list[tuple[Manifest, str]] = []
    keepers: dict[tuple[str, str], str] = {}
    for each in sorted({m.name: m for m in [*same, newest]}.values(), key=_moment, reverse=True):
        keeper = keepers.setdefault((each.content, each.release), each.name) if each.content else each.name
        if keeper == each.name:
            different.append(each)
        else:
            found.append((each, f"{keeper} holds the same"))
    kept = _kept(different, newest, keep)
    found += [(each, keep.words) for each in different if each.name not in kept]
    total = 0
    for number, each in enumerate(each for each in different if each.name in kept):
        total += each.size
        if keep.size and total > keep.size and number >= UNTOUCHED and each is not newest:
            found.append((each, f"all together may have {keep.size:,} bytes"))
    return sorted(found, key=lambda pair: _moment(pair[0]), reverse=True)


def _kept(different: Sequence[Manifest], newest: Manifest, keep: Keep) -> set[str]:
    """The names of those that a rule keeps, of backups from the newest on."""
    limit = _moment(newest) - datetime.timedelta(days=keep.days)
    kept = {newest.name, *(each.name for each in different[: keep.newest])}
    kept |= {each.name for each in different if _moment(each) > limit}
    for rule, period in PERIODS.items():
        last: dict[str, str] = {}
        for each in different:
            last.setdefault(period(each), each.name)
        kept |= set(list(last.values())[: getattr(keep, rule)])
    return kept


def _moment(manifest: Manifest) -> datetime.datetime:
    return datetime.datetime.fromisoformat(manifest.started)
