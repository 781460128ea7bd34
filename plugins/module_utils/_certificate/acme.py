# SPDX-License-Identifier: GPL-3.0-or-later
"""An order for a certificate by ACME (RFC 8555) with the client lego, which proves by HTTP-01 whose the domains are."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

PROGRAM = "lego"
WAIT = 300  # seconds for one order


@dataclass(frozen=True)
class Order:
    """What is asked for. ``store`` is lego's own directory, of its account and what it got, with ``authorities`` the
    file (PEM) of who signed the server's certificate, '' for the system's; ``server`` is the URL of ACME's directory.
    """

    domains: tuple[str, ...]
    email: str
    server: str
    store: Path
    authorities: str = ""

    def command(self, answer: str) -> list[str]:
        """lego's command line. ``answer`` is who answers the challenge: a web server that serves files below this
        directory, or lego itself at ``ADDRESS:PORT``.
        """
        how = "--http.webroot" if answer.startswith("/") else "--http.port"
        return [
            PROGRAM, "--accept-tos", "--server", self.server, "--email", self.email, "--path", str(self.store),
            "--http", how, answer, *(word for domain in self.domains for word in ("--domains", domain)), "run",
        ]  # fmt: skip

    def place(self, answer: str) -> str:
        """Get the certificate; it with its key in PEM format. Raises SlipwayError with the server's reason."""
        self.store.mkdir(mode=0o700, parents=True, exist_ok=True)
        environment = {**os.environ, **({"LEGO_CA_CERTIFICATES": self.authorities} if self.authorities else {})}
        try:
            done = subprocess.run(
                self.command(answer), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=WAIT, check=False, env=environment, umask=0o022,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise SlipwayError(
                f"There is no {PROGRAM} on the host, which gets certificates by ACME: install the package."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise SlipwayError(f"{self.server} has given no certificate within {WAIT} s: run again later.") from error
        if done.returncode:
            raise SlipwayError(
                f"No certificate for {', '.join(self.domains)} from {self.server}: {reason(done.stdout)}. See that "
                "each domain's address in DNS is this host, and that port 80 there is reached from outside; what "
                "served before goes on."
            )
        for file in self.store.rglob("*"):
            if file.is_file():
                file.chmod(0o600)  # lego leaves the account's key readable
        found = self.store / "certificates" / f"{self.domains[0]}.crt"
        return found.with_suffix(".key").read_text() + found.read_text()


def reason(output: str) -> str:
    """Why lego got no certificate, in the server's words; in lego's own last ones where it never came to the server."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and "[INFO]" not in line]
    told = [
        f"{found['words'].rstrip('. ')} ({found['kind']})" for found in (_ERROR.search(line) for line in lines) if found
    ]
    if told:
        return "; ".join(dict.fromkeys(told))
    return re.sub(r"^[\d/]+ [\d:]+ ", "", lines[-1]).rstrip(".") if lines else "lego said nothing"


# acme: error: STATUS :: [METHOD :: URL ::] urn:ietf:params:acme:error:KIND :: WORDS[, url: …] (RFC 8555, section 6.7)
_ERROR = re.compile(r"acme: error: \d+ :: .*?urn:ietf:params:acme:error:(?P<kind>\w+) :: (?P<words>.*?)(?:, url: .*)?$")
