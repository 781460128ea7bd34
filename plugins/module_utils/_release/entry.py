# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry: one nginx on a host, in which each application has a site that leads to its backends on other hosts.

A site is a file of its own beside those of the others, which are not touched. Its backends are lines that end in
``; # NAME``, and one that is out of use has ``down`` in it, which nginx asks nothing of (ngx_http_upstream_module).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker, https
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import (
    answers,
    read,
    replace_file,
    wait_until,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release import nginx
from ansible_collections.slipway.deploy.plugins.module_utils._release.nginx_container import Nginx, fault

_BACKEND = re.compile(r"^(\s*server (\S+)[^;\n]*?)( down)?; # (\S+)$", re.MULTILINE)


def backends(content: str) -> dict[str, str]:
    """The ``ADDRESS:PORT`` of each backend of a site, by its name."""
    return {found[4]: found[2] for found in _BACKEND.finditer(content)}


def out_of_use(content: str) -> set[str]:
    """The names of the backends that are out of use."""
    return {found[4] for found in _BACKEND.finditer(content) if found[3]}


def turned(content: str, name: str, out: bool) -> str:
    """A site with one of its backends out of use, or in use."""
    down = " down" if out else ""
    return _BACKEND.sub(lambda found: f"{found[1]}{down}; # {name}" if found[4] == name else found[0], content)


@dataclass(frozen=True)
class Asked:
    """How the site is asked for through the entry, and its backends without it.

    ``url``, ``plain_url``, ``connect_to`` and ``certificate`` are as for a switch of releases; ``domain`` is the site's
    name, ``path`` what a backend is asked for, ``upstreams`` the container that must answer there, by the backend's
    name, ``header`` and ``value`` what it says of itself. ``patience`` is in seconds.
    """

    url: str
    domain: str
    path: str
    plain_url: str = ""
    connect_to: str = ""
    certificate: str = ""
    upstreams: Mapping[str, str] | None = None
    header: str = ""
    value: str = ""
    patience: int = 15


class Entry:
    """The files of the entry below ``directory`` on the host, and the nginx that sees them.

    Raises SlipwayError, with the former files back in their place, when nginx refuses the new ones, a backend that is
    to be used does not answer as it should, or the site does not answer afterwards.
    """

    def __init__(self, directory: str, site: str, engine: Nginx, asked: Asked, check: bool) -> None:
        self.directory = Path(directory)
        self.main = self.directory / "nginx.conf"
        self.site = self.directory / "sites" / f"{site}.conf"
        self.nginx = engine
        self.asked = asked
        self.check = check

    def present(self, main: str, content: str, started: bool) -> tuple[bool, list[str], dict[str, str]]:
        """Have the site lead to all of its backends. Whether nginx is still to be started, what was done, and the diff.

        An nginx that does not run, or answers nothing, gets its files and is left to the caller; one that was
        ``started`` just before is given time.
        """
        wanted = {self.main: main, self.site: content}
        with self.alone():
            before = {file: read(str(file)) for file in wanted}
            changes = {file: text for file, text in wanted.items() if before[file] != text}
            diff = {
                "before": before[self.site], "after": content, "before_header": str(self.site),
            }  # fmt: skip
            actions = [f"Wrote {file}." for file in changes]
            if not self.nginx.runs() or not self.serves(started):
                if started:
                    raise self.nginx.silence()
                if not self.check:
                    self.write(changes)
                return True, actions, diff
            reload = bool(changes) or self.site_fault() is not None
            if reload:
                actions.append(f"Reloaded {self.nginx.container}.")
            if not self.check:
                for name, place in backends(content).items():
                    self.prove(name, place)
                if reload:
                    self.change(changes, before)
        return False, actions, diff

    def turn(self, name: str, out: bool) -> tuple[set[str], list[str]]:
        """Take a backend out of use, or into it again once it has answered. The workers of before, and what was done.

        Nothing where there is no such backend yet, it is so already, or no other one would be left in use.
        """
        with self.alone():
            before = read(str(self.site))
            after = turned(before, name, out)
            if before == after or not backends(after).keys() - out_of_use(after) or not self.nginx.runs():
                return set(), []
            if self.check:
                return set(), [self.told(name, out)]
            if not out:
                self.prove(name, backends(before)[name])
            return self.change({self.site: after}, {self.site: before}), [self.told(name, out)]

    def absent(self) -> tuple[list[str], int]:
        """Take the site away. What was done, and how many other sites there are."""
        with self.alone():
            others = sum(file != self.site for file in self.site.parent.glob("*.conf"))
            if not self.site.exists():
                return [], others
            if not self.check:
                self.site.unlink()
                if self.nginx.runs():
                    self.nginx.reload()
            return [f"Removed {self.site}."], others

    def told(self, name: str, out: bool) -> str:
        return f"{self.nginx.container} leads requests {'no longer' if out else 'again'} to {name}."

    def change(self, changes: Mapping[Path, str], before: Mapping[Path, str]) -> set[str]:
        """Write, test, reload, verify; put the former files back when that goes wrong. The workers of before."""
        self.write(changes)
        refusal = self.nginx.refusal()
        if refusal:
            self.put_back(changes, before)
            raise SlipwayError(
                f"nginx does not accept {' and '.join(map(str, changes))}, so what was there before was put back and "
                f"still serves; correct the configuration:\n{refusal}"
            )
        workers = self.nginx.reload()
        wait_until(lambda: self.site_fault() is None, self.asked.patience)
        wrong = self.site_fault()
        if wrong:
            log = docker.log_end(self.nginx.container)
            self.put_back(changes, before)
            self.nginx.reload()
            raise SlipwayError(
                f"Through {self.nginx.container} the site does not answer: {wrong.what}; what was there before was put "
                f"back. Its log ends with:\n{log}"
            )
        return workers

    def prove(self, name: str, place: str) -> None:
        """Raise SlipwayError unless a backend answers as it should to this host."""
        asked = self.asked
        wanted = nginx.Wanted((asked.upstreams or {}).get(name, ""), asked.header, asked.value)
        url = f"http://{place}{asked.path}"
        found: list[nginx.Fault | None] = []

        def answers_well() -> bool:
            found.append(fault(wanted, url, domain=asked.domain))
            return found[-1] is None

        if not wait_until(answers_well, asked.patience):
            assert found[-1]
            raise SlipwayError(
                f"Backend {name} gets no requests from here: {found[-1].what}. See that this host is let in there, and "
                "that no other program answers; the backends that were in use still are."
            )

    def site_fault(self) -> nginx.Fault | None:
        asked = self.asked
        return fault(nginx.Wanted(""), asked.url, asked.connect_to, asked.certificate, asked.domain)

    def serves(self, started: bool) -> bool:
        """Whether anything answers at the addresses."""
        asked = self.asked

        def listens() -> bool:
            return answers(asked.plain_url or asked.url) and (not asked.connect_to or https.listens(asked.connect_to))

        return wait_until(listens, asked.patience if started else 0)

    def put_back(self, changes: Mapping[Path, str], before: Mapping[Path, str]) -> None:
        self.write({file: before[file] for file in changes if before[file]})
        for file in changes:
            if not before[file]:
                file.unlink()

    def write(self, files: Mapping[Path, str]) -> None:
        """Replace files; nginx's own user in the container can read them, for they hold no secret."""
        for file, text in files.items():
            try:
                for directory in (self.directory, file.parent):
                    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
                replace_file(str(file), text, 0o644)
            except OSError as error:
                raise SlipwayError(
                    f"{file} can't be written: {plain(error)}; give this user the right to write there."
                ) from error

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """One at a time, since applications that share the entry do not know each other."""
        if self.check and not self.directory.exists():
            yield
            return
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
