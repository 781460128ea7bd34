# SPDX-License-Identifier: GPL-3.0-or-later
"""An nginx in a container: writes its configuration, has it test and read that, and asks what answers through it."""

from __future__ import annotations

import http.client
import os
from dataclasses import dataclass

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker, https
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import (
    answers,
    ask,
    no_answer,
    read,
    replace_file,
    wait_until,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release import nginx
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist


@dataclass(frozen=True)
class Nginx:
    """The container's name, and the path in it of the configuration with which nginx was started."""

    container: str
    config: str

    def runs(self) -> bool:
        return docker.found("container", self.container, "{{.State.Status}}") == "running"

    def silence(self) -> SlipwayError:
        """What to raise, with the end of its log, where it was started just before and does not answer."""
        return SlipwayError(
            f"{self.container} was started and does not answer: correct what its log, whose end follows, tells.\n"
            f"{docker.log_end(self.container)}"
        )

    def refusal(self) -> str:
        """Why nginx does not accept its configuration as it is now, in its words; '' when it does."""
        status, words = self._run("-t")
        return (words.strip() or f"it ended with status {status}") if status else ""

    def reload(self) -> set[str]:
        """Have it read its configuration, and return the workers of before, which end when their requests have."""
        before = self.workers()
        insist()
        self._run("-s", "reload")
        return before

    def reload_and_wait(self, seconds: float) -> set[str]:
        """The same, and wait, for so many seconds, until no worker of before takes a connection any more."""
        before = self.reload()
        wait_until(lambda: not before & {pid for pid, takes in self._workers().items() if takes}, seconds)
        return before

    def drained(self, before: set[str], seconds: float) -> bool:
        """Wait until workers have ended; False when they have not within so many seconds."""
        return not before or wait_until(lambda: not self.workers() & before, seconds)

    def workers(self) -> set[str]:
        return set(self._workers())

    def _workers(self) -> dict[str, bool]:
        return nginx.workers(docker.must("top", self.container, "-eo", "pid,args"))

    def _run(self, *arguments: str) -> tuple[int, str]:
        return docker.run("exec", self.container, "nginx", "-c", self.config, *arguments)


@dataclass(frozen=True)
class Endpoint:
    """Where an nginx, or what it leads to, is asked.

    ``connect_to`` is the ``ADDRESS:PORT`` at which an https URL is asked, ``plain_url`` where that nginx answers
    without TLS, ``certificate`` the file whose first certificate must be shown; ``domain`` is asked for in place of the
    host in the URL. Each may be ''.
    """

    url: str
    connect_to: str = ""
    plain_url: str = ""
    certificate: str = ""
    domain: str = ""

    def fault(self, wanted: nginx.Wanted) -> nginx.Fault | None:
        """What is wrong with the answer now; None when the wanted release answers."""
        host = {"Host": self.domain} if self.domain else {}
        try:
            if self.certificate and https.certificate(self.url, self.connect_to) != https.leaf(read(self.certificate)):
                return nginx.Fault(f"{self.url} shows another certificate than the one in {self.certificate}")
            status, headers = ask(self.url, connect_to=self.connect_to, **nginx.PROBE, **host)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return nginx.Fault(no_answer(self.url, error))
        return wanted.fault(self.url, status, {name.lower(): text for name, text in headers.items()})

    def verdict(self, wanted: nginx.Wanted, seconds: float) -> nginx.Fault | None:
        """What is wrong with the answer that decides: the wanted release's, another's instead of it, or the last one.

        It is not asked for again: for a moment after a reload the old workers accept connections beside the new ones.
        """
        wrong: nginx.Fault | None = None

        def decided() -> bool:
            nonlocal wrong
            wrong = self.fault(wanted)
            return wrong is None or wrong.other_release

        wait_until(decided, seconds)
        return wrong

    def listens(self) -> bool:
        """Whether nginx answers where it answers without TLS, and takes connections where it answers with it."""
        return answers(self.plain_url or self.url) and (not self.connect_to or https.listens(self.connect_to))


def write(path: str, content: str) -> None:
    """Replace a configuration; nginx's own user in the container can read it, for it holds no secret."""
    directory = os.path.dirname(path)
    try:
        if not os.path.isdir(directory):
            os.makedirs(directory)
            os.chmod(directory, 0o755)
        replace_file(path, content, 0o644)
    except OSError as error:
        raise SlipwayError(
            f"{path} can't be written: {plain(error)}; give this user the right to write there."
        ) from error
