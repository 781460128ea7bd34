# SPDX-License-Identifier: GPL-3.0-or-later
"""The migrations of a directory on the controller, read and parsed once a run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import tempfile
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Migration, Payload, Script
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.directory import Moment, opened
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.lint import lint
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.prisma_layout import migrations_in


@dataclass(frozen=True)
class MigrationFiles:
    """Everything read from the directory, in the order in which it is to be applied."""

    path: str
    migrations: tuple[Migration, ...]
    scripts: dict[str, Script]
    moment: Moment
    linted: bool = False

    def lint(self) -> MigrationFiles:
        """The same with what the linter says of each migration."""
        names = [each.name for each in self.migrations]
        return self if self.linted else replace(self, scripts=lint(names, self.scripts), linted=True)

    @property
    def payload(self) -> Payload:
        """The same for the module on the host."""
        return Payload.pack(self.migrations, self.scripts)


def read(path: str, shown: str | None = None, companion: str = "verify") -> MigrationFiles:
    """Read the migrations below ``path``, called ``shown`` in messages, each with ``<companion>.sql`` if there is one.

    The script of that one has the name ``<migration>/<companion>``.

    Raises SlipwayError when the directory as a whole is unusable. What is wrong with one file is that migration's
    ``problem``: an applied migration may hold what could not be applied again.
    """
    shown = (shown or path).rstrip("/")
    if find_spec("pglast") is None:
        raise SlipwayError("Python's pglast is missing on the controller: install it there (pip install pglast).")
    with opened(path, shown) as directory:
        migrations, scripts = migrations_in(directory, companion)
        moment = directory.insist_unchanged(path, [each.name for each in migrations])
    return MigrationFiles(shown, migrations, scripts, moment)


def read_once(path: str, shown: str, companion: str, linted: bool, kept: Path) -> MigrationFiles:
    """``read``, but what an earlier call has read and ``kept`` in that directory is taken as long as it is the same.

    So that a run parses its migrations once, whatever it does with them. ``linted``: with what the linter says.
    """
    key = hashlib.sha256(json.dumps([os.path.abspath(path), shown, companion]).encode()).hexdigest()
    file = kept / f"slipway-migrations-{key}"
    known: MigrationFiles | None = None
    with contextlib.suppress(FileNotFoundError):
        known = pickle.loads(file.read_bytes())
    found = known if known and known.moment.lasts(path) else read(path, shown, companion)
    found = found.lint() if linted else found
    if found is not known:
        with tempfile.NamedTemporaryFile(dir=kept, delete=False) as partial:
            partial.write(pickle.dumps(found))
        os.replace(partial.name, file)
    return found


def from_task(loader: Any, path: object, companion: str = "verify", linted: bool = False) -> MigrationFiles:
    """Read the directory that a task's option ``path`` names, relative to where the run began; errors fail the task."""
    if not path or not isinstance(path, str):
        raise AnsibleActionFail("The option path is missing: name the directory of migrations on the controller.")
    try:
        # Ansible makes this directory for each run, for its user alone, and removes it at the end.
        return read_once(loader.path_dwim(path), path, companion, linted, Path(C.DEFAULT_LOCAL_TMP))
    except SlipwayError as error:
        raise AnsibleActionFail(str(error)) from None
