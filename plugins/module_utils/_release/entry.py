# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry: one nginx on a host, in which each application has a site that leads to its backends on other hosts.

A site is a file of its own beside those of the others, which are not touched. Its backends are lines that end in
``; # NAME``, and one that is out of use has ``down`` in it, which nginx asks nothing of (ngx_http_upstream_module).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import alone_in, read, wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._release import nginx
from ansible_collections.slipway.deploy.plugins.module_utils._release.nginx_container import Endpoint, Nginx, write

_ANY = nginx.Wanted("")  # the site answers, whichever backend it is
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
class Proof:
    """What a backend must answer before it is used: for ``path`` of the site, by the container of ``containers`` with
    its name, with what that says of itself in ``header``. ``patience`` is in seconds, also for the site itself.
    """

    path: str
    containers: Mapping[str, str]
    header: str = ""
    value: str = ""
    patience: int = 15


class Entry:
    """The files of the entry below ``directory`` on the host, and the nginx that sees them.

    Raises SlipwayError, with the former files back in their place, when nginx refuses the new ones, a backend that is
    to be used does not answer as it should, or the site does not answer afterwards.
    """

    def __init__(self, directory: str, site: str, engine: Nginx, endpoint: Endpoint, proof: Proof, check: bool) -> None:
        self.directory = Path(directory)
        self.main = self.directory / "nginx.conf"
        self.site = self.directory / "sites" / f"{site}.conf"
        # Between the change of a file and the answer after it: a run that dies then leaves nginx to be told again.
        self.unfinished = self.directory / f"{site}.unfinished"
        self.nginx = engine
        self.endpoint = endpoint
        self.proof = proof
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
            if not self.nginx.runs() or not wait_until(self.endpoint.listens, self.proof.patience if started else 0):
                if started:
                    raise self.nginx.silence()
                if not self.check:
                    self.write(changes)
                return True, actions, diff
            reload = bool(changes) or self.unfinished.exists() or self.endpoint.fault(_ANY) is not None
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
            told = before == after and not self.unfinished.exists()
            if told or not backends(after).keys() - out_of_use(after) or not self.nginx.runs():
                return set(), []
            if self.check:
                return set(), [self.told(name, out)]
            if not out:
                self.prove(name, backends(before)[name])
            return self.change({self.site: after}, {self.site: before}), [self.told(name, out)]

    def absent(self) -> tuple[list[str], int]:
        """Take the site and its certificate away. What was done, and how many other sites there are."""
        with self.alone():
            others = sum(file != self.site for file in self.site.parent.glob("*.conf"))
            files = [self.site, *([Path(self.endpoint.certificate)] if self.endpoint.certificate else [])]
            left = [file for file in files if file.exists()]
            if left and not self.check:
                for file in left:
                    file.unlink()
                if self.nginx.runs():
                    self.nginx.reload()
            return [f"Removed {file}." for file in left], others

    def told(self, name: str, out: bool) -> str:
        return f"{self.nginx.container} leads requests {'no longer' if out else 'again'} to {name}."

    def change(self, changes: Mapping[Path, str], before: Mapping[Path, str]) -> set[str]:
        """Write, test, reload, verify; put the former files back when that goes wrong. The workers of before."""
        self.unfinished.touch()
        self.write(changes)
        refusal = self.nginx.refusal()
        if refusal:
            self.put_back(changes, before, reload=False)
            raise SlipwayError(
                f"nginx does not accept {' and '.join(map(str, changes))}, so what was there before was put back and "
                f"still serves; correct the configuration:\n{refusal}"
            )
        # Whatever answers is right, so that a worker of before must not be the one that does.
        workers = self.nginx.reload_and_wait(self.proof.patience)
        wrong = self.endpoint.verdict(_ANY, self.proof.patience)
        if wrong:
            log = docker.log_end(self.nginx.container)
            self.put_back(changes, before, reload=True)
            raise SlipwayError(
                f"Through {self.nginx.container} the site does not answer: {wrong.what}; what was there before was put "
                f"back. Its log ends with:\n{log}"
            )
        self.unfinished.unlink()
        return workers

    def prove(self, name: str, place: str) -> None:
        """Raise SlipwayError unless a backend answers as it should to this host."""
        proof = self.proof
        wanted = nginx.Wanted(proof.containers.get(name, ""), proof.header, proof.value)
        backend = Endpoint(f"http://{place}{proof.path}", domain=self.endpoint.domain)
        wrong = backend.verdict(wanted, proof.patience)
        if wrong:
            raise SlipwayError(
                f"Backend {name} gets no requests from here: {wrong.what}. See that this host is let in there, and "
                "that no other program answers; the backends that were in use still are."
            )

    def put_back(self, changes: Mapping[Path, str], before: Mapping[Path, str], reload: bool) -> None:
        self.write({file: before[file] for file in changes if before[file]})
        for file in changes:
            if not before[file]:
                file.unlink()
        if reload:
            self.nginx.reload_and_wait(self.proof.patience)
        self.unfinished.unlink()

    def write(self, files: Mapping[Path, str]) -> None:
        for file, text in files.items():
            write(str(file), text)

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """One at a time, since applications that share the entry do not know each other."""
        if self.check and not self.directory.exists():
            return contextlib.nullcontext()
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        return alone_in(str(self.directory))
