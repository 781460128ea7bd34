# SPDX-License-Identifier: GPL-3.0-or-later
"""An nginx that runs in a container: has it test and read its configuration, and waits for the workers of before."""

from __future__ import annotations

import http.client
from dataclasses import dataclass

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker, https
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import ask, no_answer, read, wait_until
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

    def drained(self, before: set[str], seconds: float) -> bool:
        """Wait until workers have ended; False when they have not within so many seconds."""
        return not before or wait_until(lambda: not self.workers() & before, seconds)

    def workers(self) -> set[str]:
        return nginx.workers(docker.must("top", self.container, "-eo", "pid,args"))

    def _run(self, *arguments: str) -> tuple[int, str]:
        return docker.run("exec", self.container, "nginx", "-c", self.config, *arguments)


def fault(
    wanted: nginx.Wanted, url: str, connect_to: str = "", certificate: str = "", domain: str = ""
) -> nginx.Fault | None:
    """What is wrong with the answer of ``url`` now; None when the wanted release answers.

    ``connect_to`` is the ``ADDRESS:PORT`` at which an https URL is asked, and ``certificate`` the file whose first
    certificate must be shown there; ``domain`` is asked for in place of the host in the URL. Each may be ''.
    """
    host = {"Host": domain} if domain else {}
    try:
        if certificate and https.certificate(url, connect_to) != https.leaf(read(certificate)):
            return nginx.Fault(f"{url} shows another certificate than the one in {certificate}")
        status, headers = ask(url, connect_to=connect_to, **nginx.PROBE, **host)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return nginx.Fault(no_answer(url, error))
    return wanted.fault(url, status, {name.lower(): text for name, text in headers.items()})
