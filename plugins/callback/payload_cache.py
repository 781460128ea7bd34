# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible makes of a module for the hosts, kept from one run for the next."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__ as ANSIBLE
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.own_directory import own_directory

DOCUMENTATION = r"""
name: payload_cache
type: aggregate
short_description: What Ansible makes of Slipway's modules for the hosts, kept from one run for the next
version_added: 0.1.0
author: The Slipway contributors
description:
  - Ansible packs a module with all that it imports before it first uses it, in each run anew, which takes 0.2 to 0.5
    seconds of processor a module. This keeps what it packed of the modules of C(slipway.deploy) and of
    C(community.docker), which each of its runs needs, and of no others.
  - It is kept below C(slipway/payloads) in E(ANSIBLE_HOME), in a directory named by the contents of the modules, of all
    that they can import, and by the versions of Ansible and Python, so that what has changed is packed anew. The four
    directories used last stay.
  - A directory that belongs to somebody else, or that others may write to, is not used. Whatever goes wrong, the run is
    as it would be without.
requirements:
  - named in C(callbacks_enabled) in the configuration
"""

COLLECTIONS = ("slipway.deploy", "community.docker")
PAYLOADS = [f"ansible_collections.{name}.plugins.modules.*-none" for name in COLLECTIONS]  # without debugger, coverage
ROOMS = ("modules", "module_utils")


class CallbackModule(CallbackBase):
    """Lays out what was kept where Ansible looks for what it has packed, and keeps what this run packed besides."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "slipway.deploy.payload_cache"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        # Ansible's own place for it (executor/module_common.py), of this process alone. Where another version has
        # another one, nothing is found there, and nothing kept.
        self.packed = Path(C.DEFAULT_LOCAL_TMP) / "ansiballz_cache"
        self.kept: Path | None = None
        try:
            self.kept = own_directory(Path(C.ANSIBLE_HOME), "payloads", contents(*plugins()))
            self.packed.mkdir(exist_ok=True)
            for payload in payloads(self.kept):
                bring(payload, self.packed / payload.name)
        except OSError as error:
            self._display.vv(f"payload_cache: {error}")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if self.kept is None:
            return
        try:
            for payload in payloads(self.packed):
                keep(payload, self.kept / payload.name)
        except OSError as error:
            self._display.vv(f"payload_cache: {error}")


def plugins() -> list[Path]:
    """Where the collections' plugins are; one that is not installed has none."""
    places: list[str] = []
    for name in COLLECTIONS:
        with contextlib.suppress(ImportError):  # no collection of its namespace is installed either
            spec = importlib.util.find_spec(f"ansible_collections.{name}")
            places += (spec and spec.submodule_search_locations) or []
    return [Path(place) / "plugins" for place in places]


def contents(*plugins: Path) -> str:
    """Digest of all that goes into a payload: modules, what they import, Ansible."""
    digest = hashlib.sha256(f"{ANSIBLE} {C.__file__} {sys.version}".encode())
    for place in plugins:
        for path in sorted(path for room in ROOMS for path in (place / room).rglob("*.py")):
            source = path.read_bytes()
            digest.update(f"\0{path.relative_to(place)} {len(source)}\0".encode())
            digest.update(source)
    return digest.hexdigest()[:32]


def payloads(directory: Path) -> list[Path]:
    """What is in a directory of what was packed of the collections' modules."""
    return [path for pattern in PAYLOADS for path in directory.glob(pattern)]


def bring(payload: Path, place: Path) -> None:
    """A second name for a payload, or a copy where the two directories are of different file systems."""
    if place.exists():  # of the playbook before, where a command names several
        return
    try:
        os.link(payload, place)
    except OSError:
        shutil.copyfile(payload, place)


def keep(payload: Path, place: Path) -> None:
    """A copy of a payload, there wholly or not at all; another run may be keeping the same."""
    if place.exists():
        return
    with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".", delete=False) as half:
        half.write(payload.read_bytes())
    os.replace(half.name, place)
