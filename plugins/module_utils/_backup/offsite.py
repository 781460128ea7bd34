# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of proved backups away from their host, in a repository of restic: encrypted, and each part of it kept once.

A backup is one snapshot, of its dump and its manifest. What a list and a choice need of the manifest is in the
snapshot's tags, so that one call tells of all of them; before anything is restored, both files are fetched and the
dump is compared with the manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ansible_collections.slipway.deploy.plugins.module_utils._backup import store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.prune import Keep, to_prune
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import masked
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist
from ansible_collections.slipway.deploy.plugins.module_utils._text import human

OFFSITE_SPEC: dict[str, dict[str, Any]] = {
    "offsite": {"type": "str", "default": ""},
    "offsite_password": {"type": "str", "default": "", "no_log": True},
    "offsite_env": {"type": "dict", "default": {}, "no_log": True},
    "offsite_options": {"type": "dict", "default": {}},
    "offsite_append_only": {"type": "bool", "default": False},
    "offsite_insist": {"type": "bool", "default": False},
}
PROGRAM = "restic"
MARK = "slipway"
ANSWER = 60  # seconds within which a repository tells what is in it; restic by itself goes on for 15 minutes
# What this host knows of the repositories, below the directory of backups.
NOTES = "offsite"
# Of the manifest, what a tag says.
_TEXTS = ("application", "environment", "database", "release", "server_version", "started", "sha256", "content")
_NUMBERS = ("server_major", "size", "database_size", "rows")


@dataclass(frozen=True)
class Away:
    """A snapshot of one backup; of the manifest only what its tags say is there."""

    snapshot: str
    manifest: Manifest

    @classmethod
    def parse(cls, snapshot: Mapping[str, Any]) -> Away | None:
        """From one object of ``restic snapshots --json``; None where it is no backup of Slipway's."""
        told = dict(tag.split("=", 1) for tag in snapshot.get("tags") or [] if "=" in tag)
        try:
            known: dict[str, Any] = {name: unquote(told[name]) for name in _TEXTS}
            known.update((name, int(told[name])) for name in _NUMBERS)
            name = unquote(told["backup"])
        except (KeyError, ValueError):
            return None
        unknown: dict[str, Any] = {"tables": {}, "sequences": {}, "objects": {}, "migrations": [], "seconds": {}}
        manifest = Manifest(
            name=name, dump=f"{name}.dump", system_identifier="", finished="", schema_digest="", **unknown, **known
        )
        return cls(snapshot["id"], manifest)


def tags(manifest: Manifest) -> list[str]:
    """The tags of a backup's snapshot; restic takes a comma for the end of one."""
    values = {"backup": manifest.name, **{name: getattr(manifest, name) for name in (*_TEXTS, *_NUMBERS)}}
    return [MARK, *(f"{name}={quote(str(value), safe=':+ ')}" for name, value in values.items())]


@dataclass(frozen=True)
class Offsite:
    """One repository, and how it is reached from this host. ``notes`` is the directory of what is known of it here."""

    repository: str
    password: str
    notes: Path
    env: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    append_only: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Offsite | None:
        """Out of a module's parameters (see ``OFFSITE_SPEC``); None where there is no repository.

        Raises SlipwayError where its address holds a password, which would be shown, or it has none of its own.
        """
        repository = params["offsite"]
        if not repository:
            return None
        if urlsplit(repository.partition(":")[2]).password or urlsplit(repository).password:
            raise SlipwayError(
                "The address of the repository holds a password, and addresses are shown: take it out, and set "
                "RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD in its environment."
            )
        if not params["offsite_password"]:
            raise SlipwayError(
                f"The repository {repository} has no password: set one, and keep it in another place too."
            )
        env, options = (
            {name: str(value) for name, value in params[f"offsite_{part}"].items()} for part in ("env", "options")
        )
        notes = Path(params["directory"]) / NOTES
        return cls(repository, params["offsite_password"], notes, env, options, params["offsite_append_only"])

    @property
    def environment(self) -> dict[str, str]:
        """What restic is started with: nothing of it is in an argument list, and nothing of the caller's is in it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RESTIC_")}
        return {
            "HOME": os.path.expanduser("~"),
            **kept,
            "RESTIC_REPOSITORY": self.repository,
            "RESTIC_PASSWORD": self.password,
            "RESTIC_CACHE_DIR": str(self.notes / "cache"),
            **self.env,
        }

    def command(self, *arguments: str) -> list[str]:
        told = [word for name, value in self.options.items() for word in ("-o", f"{name}={value}")]
        return [PROGRAM, *told, *arguments]

    def run(self, *arguments: str, directory: Path | None = None, seconds: float | None = None) -> str:
        """Run restic and return its output; SlipwayError with its own words when it fails."""
        with store.file_errors(self.notes):
            self.notes.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            done = subprocess.run(
                self.command(*arguments), cwd=directory or self.notes, env=self.environment, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise SlipwayError(
                f"The repository {self.repository} did not answer within {seconds:g} s: see that this host reaches it."
            ) from error
        except OSError as error:
            raise SlipwayError(
                f"{PROGRAM} can't be run ({plain(error)}): install the package {PROGRAM} on this host."
            ) from error
        if done.returncode:
            said = masked(_words(done.stderr or done.stdout), {self.password, *self.env.values()})
            raise SlipwayError(
                f"{PROGRAM} {arguments[0]} failed at the repository {self.repository}: "
                f"{said or f'exit status {done.returncode}'}."
            )
        return done.stdout

    def snapshots(self) -> list[Away]:
        """The backups that are there, oldest first, of every application; of one that is there twice the newer copy."""
        told = json.loads(self.run("snapshots", "--json", "--no-lock", "--tag", MARK, seconds=ANSWER) or "[]")
        found = [away for away in map(Away.parse, told or []) if away]
        return sorted({away.manifest.name: away for away in found}.values(), key=lambda away: away.manifest.started)

    @property
    def _known(self) -> Path:
        return self.notes / f"{hashlib.sha256(self.repository.encode()).hexdigest()[:16]}.known"

    def open(self) -> list[Away]:
        """The backups that are there; the repository is made where this host has never seen one at its address."""
        try:
            found = self.snapshots()
        except SlipwayError as error:
            if self._known.exists():
                raise SlipwayError(
                    f"{error} Backups were sent there before: see that it is there, with the same password (where it "
                    f"is to be made anew, delete {self._known})."
                ) from error
            try:
                self.run("init", seconds=ANSWER)  # it never touches one that is there
            except SlipwayError as again:
                raise SlipwayError(f"{error} Nor can it be made there: {again}") from again
            found = []
        if not self._known.exists():
            with store.file_errors(self.notes):
                replace_file(str(self._known), self.repository + "\n")
        return found

    def send(self, directory: Path, manifests: Iterable[Manifest], keep: Keep, newest: Manifest) -> list[str]:
        """Send what is not there yet, then remove there what no rule of ``keep`` keeps; in sentences.

        ``manifests`` are whole proved backups in ``directory``, of which ``newest`` says the application, environment
        and database. Raises SlipwayError when something could not be sent.
        """
        away = self.open()
        names = {each.manifest.name for each in away}
        actions, sent = [], []
        # A lock of a process that is gone, such as a run that was killed, would keep others out.
        with contextlib.suppress(SlipwayError):
            self.run("unlock")
        missing = [manifest for manifest in manifests if manifest.name not in names]
        for number, manifest in enumerate(missing):
            progress.tell("sending", number, len(missing), "backup")
            insist()
            told = [word for tag in tags(manifest) for word in ("--tag", tag)]
            host = f"{manifest.application}-{manifest.environment}"
            self.run(
                "backup", "--quiet", "--host", host, *told, manifest.dump, f"{manifest.name}.json", directory=directory
            )
            sent.append(manifest)
            actions.append(f"Sent backup {manifest.name} ({human(manifest.size)}) to {self.repository}.")
        gone = [] if self.append_only else to_prune([*(each.manifest for each in away), *sent], newest, keep)
        snapshots = {each.manifest.name: each.snapshot for each in (self.snapshots() if gone else [])}
        if snapshots:
            insist()
            self.run("forget", "--quiet", "--prune", *(snapshots[old.name] for old, _why in gone))
            actions += [f"Removed backup {old.name} from {self.repository}: {why}." for old, why in gone]
        return actions

    def fetch(self, away: Away, directory: Path) -> Manifest:
        """Bring a backup back into ``directory``, where both its files are whole; under the directory's lock."""
        with self.copy(away) as (beside, manifest):
            insist()
            with store.file_errors(directory):
                os.rename(beside / manifest.dump, directory / manifest.dump)
                os.rename(beside / f"{manifest.name}.json", directory / f"{manifest.name}.json")
                store.sync(directory)
        return manifest

    @contextlib.contextmanager
    def copy(self, away: Away) -> Iterator[tuple[Path, Manifest]]:
        """A directory with the two files of a backup for a ``with`` block, and the manifest.

        Raises SlipwayError where they can't be read, or the dump is not what the manifest says.
        """
        beside = self.notes / f"{away.manifest.name}.fetched"
        shutil.rmtree(beside, ignore_errors=True)
        store.check_space(self.notes, away.manifest.size, "", 0, None)
        try:
            try:
                manifest = self._restore(away, beside)
            except SlipwayError as error:
                raise SlipwayError(
                    f"The copy of backup {away.manifest.name!r} in {self.repository} can't be used: {error} Choose "
                    "another backup."
                ) from error
            yield beside, manifest
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _restore(self, away: Away, target: Path) -> Manifest:
        name = away.manifest.name
        progress.tell("fetching", 0)
        self.run("restore", away.snapshot, "--quiet", "--target", str(target))
        try:
            manifest = Manifest.parse(name, (target / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise SlipwayError(f"The manifest {name}.json can't be read ({error}).") from error
        if manifest.sha256 != away.manifest.sha256:
            raise SlipwayError(f"The manifest {name}.json was altered: it is not the one that was sent.")
        problem = store.damage(target, manifest, verify=True)
        if problem:
            raise SlipwayError(problem)
        return manifest

    def problem(self, away: Away) -> str:
        """Read a backup in full; what is wrong with it, '' when nothing is."""
        try:
            with self.copy(away):
                return ""
        except SlipwayError as error:
            return str(error)


def _words(text: str) -> str:
    """What restic wrote, in one line: the last of its lines say what failed."""
    lines = [re.sub(r"^(Fatal|ERROR|error): ", "", line.strip()) for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:]).rstrip(". ")


@dataclass(frozen=True)
class Sent:
    """What was sent and removed there, in sentences, and why something was not."""

    actions: list[str] = field(default_factory=list)
    problem: str = ""


def after_backup(params: Mapping[str, Any], manifest: Manifest) -> Sent:
    """Send what was just proved, and what an earlier run could not.

    A proved backup is on this host, so that what needed it goes on without the other copy: SlipwayError only with
    ``offsite_insist``.
    """
    try:
        offsite = Offsite.from_params(params)
        if offsite is None:
            return Sent()
        directory = Path(params["directory"])
        return Sent(offsite.send(directory, to_send(directory, manifest), Keep.from_params(params), manifest))
    except SlipwayError as error:
        problem = f"Backup {manifest.name} is proved and on this host, but was not sent: {error}"
        if params["offsite_insist"]:
            raise SlipwayError(problem) from error
        return Sent(problem=problem)


def to_send(directory: Path, like: Manifest) -> list[Manifest]:
    """The whole proved backups of the same database, the newest first: that one is sent even if time is short."""
    identity = (like.application, like.environment, like.database)
    whole = [entry.manifest for entry in store.entries(directory) if entry.manifest and not entry.problem]
    own = [each for each in whole if each.proved and (each.application, each.environment, each.database) == identity]
    return own[::-1]


@dataclass(frozen=True)
class Found:
    """The backups of a directory and of the repository; ``problem`` says why the repository can't be read."""

    directory: Path
    remote: Offsite | None
    here: list[store.Entry]
    away: dict[str, Away]
    problem: str

    @property
    def entries(self) -> list[store.Entry]:
        """Those of the directory, and those that are only away, oldest first."""
        names = {entry.name for entry in self.here}
        only_away = [store.Entry(name, each.manifest) for name, each in self.away.items() if name not in names]
        return sorted([*self.here, *only_away], key=lambda entry: entry.name)

    def where(self, name: str) -> str:
        """``here``, ``away`` or ``both``."""
        here = any(entry.name == name for entry in self.here)
        return "both" if here and name in self.away else "here" if here else "away"

    def choose(self, wanted: str, params: Mapping[str, Any]) -> Manifest:
        """The backup that ``wanted`` names, see ``store.choose``; where there is none, also what is not known of it."""
        try:
            return store.choose(self.directory, self.entries, wanted, params)
        except SlipwayError as error:
            raise SlipwayError(f"{error} {self.problem}".rstrip()) from error

    def fetched(self, manifest: Manifest) -> tuple[Manifest, list[str]]:
        """The backup, brought here where it is only away, and what was done; under the directory's lock."""
        if self.remote is None or self.where(manifest.name) != "away":
            return manifest, []
        whole = self.remote.fetch(self.away[manifest.name], self.directory)
        return whole, [f"Fetched backup {whole.name} ({human(whole.size)}) from {self.remote.repository}."]


def look(params: Mapping[str, Any], wanted: str = "", verify: bool = False) -> Found:
    """What there is. The repository is not asked where the backup that is ``wanted`` is in the directory."""
    directory = Path(params["directory"])
    here, away, problem = store.entries(directory, verify), list[Away](), ""
    remote = None if any(entry.name == wanted for entry in here) else Offsite.from_params(params)
    try:
        away = remote.snapshots() if remote else []
        if remote and verify:
            remote.run("check")
    except SlipwayError as error:
        problem = str(error)
    return Found(directory, remote, here, {each.manifest.name: each for each in away}, problem)
