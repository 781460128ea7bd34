# SPDX-License-Identifier: GPL-3.0-or-later
"""Points a running nginx at another release, makes sure that it answers, drains the old one and prunes what is old."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import (
    read,
    wait_until,
)
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import masked
from ansible_collections.slipway.deploy.plugins.module_utils._release import nginx
from ansible_collections.slipway.deploy.plugins.module_utils._release.former import Former
from ansible_collections.slipway.deploy.plugins.module_utils._release.nginx_container import Endpoint, Nginx, write
from ansible_collections.slipway.deploy.plugins.module_utils._release.prune import (
    Container,
    Pruning,
    containers,
    insist_on_name,
    prune,
)
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist


@dataclass(frozen=True)
class Wish:
    """What is to be so, by the names of the module's options: paths on the host, addresses as seen from it, seconds."""

    container: str
    path: str
    content: str
    url: str
    config: str
    header: str
    value: str
    started: bool
    verify_timeout: int
    drain_timeout: int
    upstream: str
    upstream_label: str
    leftover_label: str
    keep: int
    former: bool = False
    connect_to: str = ""
    plain_url: str = ""
    certificate: str = ""


MAINTENANCE = "maintenance-"


def end_maintenance(files: Iterable[str]) -> None:
    """Remove the files that have nginx answer for a release."""
    for file in files:
        Path(file).unlink(missing_ok=True)


class Switch:
    """nginx, its configuration on the host, and the release that shall answer.

    Raises SlipwayError, with the old configuration back in its place, when nginx refuses the new one or the wanted
    release does not answer through it.
    """

    def __init__(self, wish: Wish, check: bool, warn: Callable[[str], None]) -> None:
        self.former = Former(wish.path)
        if wish.former:
            wish = replace(wish, content=self.former.content(wish.upstream))
        self.wish = wish
        self.nginx = Nginx(wish.container, wish.config)
        self.endpoint = Endpoint(wish.url, wish.connect_to, wish.plain_url, wish.certificate)
        self.wanted = nginx.Wanted(wish.upstream, wish.header, wish.value)
        self.check = check
        self.warn = warn
        self.before = read(wish.path)
        self.timings: dict[str, float] = {}
        self._mark = time.monotonic()

    def ensure(self) -> dict[str, Any]:
        content = self.wish.content
        diff = {"before": self.before, "after": content, "before_header": self.wish.path}
        running = self.nginx.runs()
        same = self.before == content
        written = [] if same else [f"Wrote {self.wish.path}."]
        if not running:
            if self.wish.started:
                raise self.nginx.silence()
            if not same and not self.check:
                self.keep_former(self.others())
                write(self.wish.path, content)
            return {"changed": not same, "pending": True, "actions": written, "diff": diff}
        if not self.serves():
            # It comes back with the configuration that served before; the call after that is the one that switches.
            changes = not same and self.check
            return {"changed": changes, "pending": True, "actions": written if changes else [], "diff": diff}

        ended = self.maintenance()
        if not self.check:
            end_maintenance(ended & {self.maintained(self.wish.value)})
        reload_needed = not same or self.endpoint.fault(self.wanted) is not None
        actions = [*written, f"Reloaded {self.wish.container}."] if reload_needed else []
        others = self.others()
        if reload_needed and not self.check:
            self.keep_former(others)  # first: a run that is cut short after the switch leaves nothing to tell it by
            self.switch(content)
        pruning = prune(others, self.wish.upstream, self.before, self.wish.keep)
        leftovers = self.leftovers()
        if not self.check:
            self.prune(pruning)
            self.former.forget({item.name for item in others} - set(pruning.remove))
            if leftovers:
                docker.must("rm", "--force", "--volumes", *leftovers)
            end_maintenance(ended)
        actions += [f"{self.wish.container} no longer answers that the application is not available."] if ended else []
        actions += [*pruning.actions, *(f"Removed container {name}, which a run left." for name in leftovers)]
        return {
            "changed": bool(actions),
            "pending": False,
            "actions": actions,
            "diff": diff,
            **({"timings": self.timings} if reload_needed else {}),
        }

    def maintained(self, release: str) -> str:
        """The file that has nginx answer, in the place of this release, that the application is not available."""
        return os.path.join(os.path.dirname(self.wish.path), f"{MAINTENANCE}{release}")

    def maintenance(self) -> set[str]:
        """All such files. When nginx leads to the wanted release, none has a meaning any more."""
        directory = Path(self.wish.path).parent
        return {str(file) for file in directory.glob(f"{MAINTENANCE}*")}

    def serves(self) -> bool:
        """Whether anything answers at the address. An nginx that was started just before is given time, and trusted."""
        started: bool = self.wish.started
        seconds = self.wish.verify_timeout if started else 0
        return wait_until(self.endpoint.listens, seconds) or started

    def switch(self, content: str) -> None:
        """Write, test, reload, verify, drain; put the old configuration back when that goes wrong."""
        write(self.wish.path, content)
        refusal = self.nginx.refusal()
        self.took("test")
        if refusal:
            self.put_back(reload=False)
            raise SlipwayError(
                f"nginx does not accept the new {self.wish.path}, so the old one was put back and still serves; "
                f"correct the configuration:\n{refusal}"
            )
        old_workers = self.nginx.reload()
        wrong = self.endpoint.verdict(self.wanted, self.wish.verify_timeout)
        if wrong and wrong.other_release:
            self.put_back(reload=True)
            raise SlipwayError(
                f"Through nginx {wrong.what}: it is reached, but is another release than the one that was deployed, or "
                "says so by mistake. The old configuration was put back and serves. Let the application say in "
                f"{self.wish.header} the release that it is given, or name no such header: then the container "
                "alone tells."
            )
        if wrong:
            log = masked(docker.log_end(self.wish.container), docker.secrets(self.wish.upstream))
            self.put_back(reload=True)
            raise SlipwayError(
                f"Through nginx the new release does not answer: {wrong.what}; the old configuration was put back and "
                f"serves. See whether {self.wish.upstream or 'the release'} can be reached from "
                f"{self.wish.container}, whose log ends below.\n{log}"
            )
        self.took("switch")
        if not self.nginx.drained(old_workers, self.wish.drain_timeout):
            self.warn(f"{self.wish.container}: old workers are still busy after {self.wish.drain_timeout} s.")
        self.took("drain")

    def put_back(self, reload: bool) -> None:
        if self.before:
            write(self.wish.path, self.before)
        else:
            os.remove(self.wish.path)
        if reload:
            self.nginx.reload_and_wait(self.wish.verify_timeout)

    def others(self) -> list[Container]:
        """The containers of the application, the newest first; none where they are not to be looked after."""
        label = self.wish.upstream_label
        if not label or not self.wish.upstream:
            return []
        listing = docker.must("ps", "--all", "--no-trunc", f"--filter=label={label}", "--format={{json .}}")
        listed = containers(listing)
        insist_on_name(listed, self.wish.upstream)
        return listed

    def keep_former(self, others: Iterable[Container]) -> None:
        """Keep what led to the container that served, for a rollback to it."""
        for item in others:
            if item.name != self.wish.upstream and item.name in self.before:
                self.former.keep(item.name, self.before)

    def leftovers(self) -> list[str]:
        """Containers that nobody waits for any more, since the run that started them is dead."""
        label = self.wish.leftover_label
        return docker.must("ps", "--all", f"--filter=label={label}", "--format={{.Names}}").split() if label else []

    def prune(self, pruning: Pruning) -> None:
        insist()
        if pruning.stop:
            docker.must("stop", *pruning.stop, timeout=600)  # each by its own signal and within its own time
        if pruning.remove:
            insist()  # stopping took its time
            docker.must("rm", "--volumes", *pruning.remove)
        self.took("prune")

    def took(self, phase: str) -> None:
        now = time.monotonic()
        self.timings[phase] = round(now - self._mark, 2)
        self._mark = now
