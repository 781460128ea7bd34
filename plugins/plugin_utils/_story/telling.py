# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as a story: a line a phase with its outcome, what was changed, and in full what went wrong.

The plays say what the phases are: ``(2/5) BACKUP: dump, restore, compare`` is the phase BACKUP, whatever number of
plays it has. Events go in, with the time in seconds by any clock; the lines that are to be shown at once come out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.deploy.plugins.plugin_utils._story.facts import (
    HIDDEN,
    changes,
    conditional,
    facts,
    message,
    parts,
    reason,
)
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.layout import (
    LABEL,
    Code,
    Item,
    Line,
    headed,
    paragraph,
    plain,
    summary,
)
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.table import Column, table

CHANGES = 2  # lines on a terminal that a phase's changes take; -v shows all
INDENT = 4

_SIGNS = {"+": "green", "-": "red", "@": "cyan"}
_TITLE = re.compile(r"^(\(\d+/\d+\) )?(.+?)(?:: .*)?$")


@dataclass(frozen=True)
class Event:
    """How a task went on a host, whose name is '' where it is nobody's host but the controller.

    ``work``: whether the task does something, and does not only note or check. ``says``: whether its message is an
    answer to the operator. ``item`` is the label of a loop's item. ``told`` are the things of the result that the
    phase tells; None for all.
    """

    host: str
    task: str
    result: Mapping[str, Any]
    work: bool = True
    says: bool = False
    item: str = ""
    told: Collection[str] | None = None


@dataclass
class Phase:
    """What happened between two phases' beginnings."""

    label: str
    numbered: bool
    started: float
    facts: dict[str, dict[str, str]] = field(default_factory=dict)  # host, noun, words
    changes: dict[str, list[str]] = field(default_factory=dict)  # host, sentences
    notes: list[Item] = field(default_factory=list)
    answers: list[Item] = field(default_factory=list)
    worked: bool = False
    skipped: bool = False
    told: bool = False  # its line was shown, since it failed or is an answer


def _phase(play: str, now: float) -> Phase:
    found = _TITLE.match(play.strip())
    number, name = (found.group(1) or "", found.group(2)) if found else ("", play)
    return Phase(number + name, bool(number), now)


@dataclass
class Story:
    """What was seen of a run. ``width``: columns of the terminal, None to wrap nothing; ``check``: check mode."""

    width: int | None = None
    check: bool = False
    phase: Phase | None = None
    hosts: set[str] = field(default_factory=set)
    warned: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)  # hosts
    hidden: list[Item] = field(default_factory=list)
    task: str = ""

    def begin(self, play: str, now: float) -> list[Item]:
        """A play begins; the phase before it is told when this is another one."""
        phase = _phase(play, now)
        if self.phase and self.phase.label == phase.label:
            return []
        told = self.close(now)
        self.phase, self.task = phase, ""
        return told

    def running(self, now: float, width: int, progress: str = "") -> str:
        """The phase, the running task, and the phase's seconds until now, in one line of at most ``width`` columns.

        Where the task says how far it has come (``progress``), that stands in its place.
        """
        label, started = (self.phase.label, self.phase.started) if self.phase else ("", now)
        time = f"  {now - started:.0f} s"
        return f"{label:<{LABEL - 3}} {progress or self.task}"[: max(0, width - len(time))] + time

    def halfway(self, now: float, progress: str) -> list[Item]:
        """The same as a line of its own, where there is no motion."""
        label, started = (self.phase.label, self.phase.started) if self.phase else ("", now)
        return list(headed(label, f"so far: {progress}", "dim", self.width, now - started))

    def done(self, event: Event) -> None:
        """A task went well."""
        phase = self._phase_of(event)
        phase.worked = phase.worked or event.work
        for result in parts(event.result):
            found = facts(result)
            phase.facts.setdefault(event.host, {}).update(
                {noun: words for noun, words in found.items() if event.told is None or noun in event.told}
            )
            if event.work:
                phase.changes.setdefault(event.host, []).extend(changes(result, event.task))
            if isinstance(result.get("shown"), Mapping):
                phase.answers += self._shown(event.host, **result["shown"])
            elif event.says and (said := message(result)):
                self._note(phase, event.host, said)

    def _shown(self, host: str, title: str, columns: list[Any], rows: list[list[Any]], lines: list[str]) -> list[Item]:
        """A table below its title, and text below it."""
        first, *more = (self._of(host) + title).splitlines() or [""]
        found: list[Item] = [*paragraph(first, "bold", self.width)]
        for line in more:
            found += paragraph(line, "", self.width)
        if rows:
            found += table([Column.parse(column) for column in columns], rows, self.width)
        return found + [part for line in lines for part in paragraph(line, "", self.width)]

    def _note(self, phase: Phase, host: str, said: str) -> None:
        """Rows below a heading, or a verdict on a phase without a number, are the answer to what was asked."""
        lines = said.splitlines()
        rows = any(line.startswith(" ") for line in lines[1:])
        if rows or not phase.numbered:
            heading, *below = paragraph(said if rows else self._of(host) + said, "", self.width)
            phase.answers += [((plain(heading), "bold"),) if rows else heading, *below]
        else:
            for line in lines:
                phase.notes += paragraph(self._of(host) + line, "yellow", self.width, INDENT)

    def skipped(self, event: Event) -> None:
        self._phase_of(event).skipped = True

    def warn(self, host: str, text: str) -> None:
        """A warning, which is told once in a run."""
        if self.phase and text not in self.warned:
            self.warned.add(text)
            self.phase.notes += paragraph(f"warning: {self._of(host)}{text}", "yellow", self.width, INDENT)

    def differ(self, difference: str | Code) -> None:
        """What ``--diff`` shows."""
        if self.phase and isinstance(difference, Code):
            self.phase.notes.append(difference)
        elif self.phase and isinstance(difference, str):
            self.phase.notes += [((line, _SIGNS.get(line[:1], "")),) for line in difference.splitlines()]

    def fail(self, event: Event, now: float, kind: str = "FAILED", ignored: bool = False) -> list[Item]:
        """A task failed. The first failure of a host has the place where it was; what follows is where that led."""
        phase = self._phase_of(event)
        text = reason(event.result)
        if event.host in self.failed:
            self.hidden = []
            return list(headed("STOPPED", self._of(event.host) + text, "red", self.width))
        host = f" on {event.host}" if self._of(event.host) else ""
        item = f" ({event.item})" if event.item else ""
        head = headed(
            phase.label,
            f"{kind}{', ignored' if ignored else ''}{host}: {event.task}{item}",
            "yellow" if ignored else "red",
            self.width,
            now - phase.started,
        )
        told: list[Item] = [*head, *paragraph(text, "" if ignored else "red", self.width, INDENT)]
        if isinstance(event.result.get("shown"), Mapping):
            told += self._shown(event.host, **event.result["shown"])
        if ignored:
            return told
        phase.told = True
        if not event.item:  # of a loop the other items may fail as well
            self.failed.add(event.host)
        if text == HIDDEN:  # what follows may explain it
            self.hidden = told
            told = []
        return told + self._details(phase)

    def answer(self, event: Event) -> list[Item]:
        """The answer to what was asked is no."""
        phase = self._phase_of(event)
        phase.told = True
        no = f"no: {self._of(event.host)}{reason(event.result)}"
        return [*self._details(phase), *headed(phase.label, no, "yellow", self.width)]

    def close(self, now: float, interrupted: bool = False) -> list[Item]:
        """The line of the phase that ends here, with what was changed in it and what is to be known."""
        phase, self.phase = self.phase, None
        hidden, self.hidden = self.hidden, []
        if phase is None:
            return hidden
        if phase.told:
            return hidden + self._details(phase)
        outcome, style = self._outcome(phase)
        quiet = not phase.numbered and not any(phase.changes.values())
        if interrupted:
            outcome, style, quiet = "interrupted", "red", False
        elif quiet:
            quiet = bool(phase.answers) or (phase.worked and not outcome) or not (phase.worked or phase.skipped)
        elif self.failed and not (phase.worked or phase.skipped):
            quiet = True  # no host is left that could come so far
        shown = outcome or ("changed" if any(phase.changes.values()) else "done" if phase.worked else self._idle())
        line = [] if quiet else headed(phase.label, shown, style, self.width, now - phase.started)
        return [*hidden, *line, *self._details(phase)]

    def _idle(self) -> str:
        return "skipped" if self.check else "nothing to do"

    def _outcome(self, phase: Phase) -> tuple[str, str]:
        said = [self._of(host) + ", ".join(words.values()) for host, words in phase.facts.items() if words]
        return "; ".join(said), "green" if any(phase.changes.values()) else ""

    def _details(self, phase: Phase) -> list[Item]:
        """Changes, notes and answers that were not shown yet."""
        items: list[Item] = []
        for host, sentences in phase.changes.items():
            if sentences:
                if self.check:  # modules say what they would do in the words for what they do
                    sentences = [conditional(each) for each in sentences]
                named = [self._of(host) + sentences[0], *sentences[1:]]
                items += [((line, "green"),) for line in summary(named, self.width, INDENT, CHANGES)]
        items += [*phase.notes, *phase.answers]
        phase.changes, phase.notes, phase.answers = {}, [], []
        return items

    def _of(self, host: str) -> str:
        """``HOST: `` where there are several."""
        return f"{host}: " if host and len(self.hosts) > 1 else ""

    def _phase_of(self, event: Event) -> Phase:
        if event.host:
            self.hosts.add(event.host)
        if self.phase is None:
            self.phase = Phase("", False, 0.0)
        return self.phase


def recap(host: str, counts: Mapping[str, int]) -> Line:
    """A host's counts in the form of Ansible's own: those that always matter, and the others where there are any."""
    shown = {"ok": counts["ok"], "changed": counts["changed"], "failed": counts["failures"]}
    rare = {name: counts[name] for name in ("unreachable", "rescued", "ignored") if counts.get(name)}
    return ((f"{host}: {' '.join(f'{name}={count}' for name, count in {**shown, **rare}.items())}", "dim"),)


def short(task: str) -> str:
    """A task's name without its role and without the file that it is in."""
    return task.rsplit(" : ", 1)[-1].split(" | ", 1)[-1].strip()
