# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a site's certificate by ACME be there and valid: at a deploy, and by a program that the host runs on a schedule.

``python3 PROGRAM SETTINGS``: it needs no controller, and has nginx take what it got without closing a connection.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import secrets
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._certificate import lifetime
from ansible_collections.slipway.deploy.plugins.module_utils._certificate.acme import Order
from ansible_collections.slipway.deploy.plugins.module_utils._certificate.place import Reader, differs, write
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, replace_file

CHALLENGES = ".well-known/acme-challenge"  # RFC 8555, section 8.3


@dataclass(frozen=True)
class Site:
    """A site's certificate by ACME.

    ``file`` is what nginx reads (see ``place``), ``files`` the directory of what this keeps, ``webroot`` the one from
    which nginx answers challenges, and ``listen`` the ``ADDRESS:PORT`` on this host at which they are asked for.
    """

    order: Order
    reader: Reader
    file: Path
    files: Path
    webroot: Path
    listen: str
    config: str

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Site:
        """By the names that the settings of the program have."""
        files = Path(settings["files"])
        domains = tuple(settings["domains"])
        order = Order(domains, settings["email"], settings["server"], files / "lego", settings["authorities"])
        reader = Reader(settings["container"], settings["image"], settings["user"])
        address = settings["address"]
        listen = f"{f'[{address}]' if ':' in address else address}:{settings['port']}"
        return cls(order, reader, Path(settings["path"]), files, Path(settings["webroot"]), listen, settings["config"])

    @property
    def note(self) -> Path:
        """What the certificate that is there was ordered as."""
        return self.files / "ordered.json"

    def ordered(self) -> dict[str, Any]:
        """What it would be ordered as now."""
        return {
            "domains": list(self.order.domains),
            "server": self.order.server,
            "sha256": hashlib.sha256(read(str(self.file)).encode()).hexdigest(),
        }

    def why(self, now: float) -> str:
        """Why a certificate is due, in a few words; '' where none is."""
        found = lifetime.of(read(str(self.file)))
        if found is None:
            return "there is none"
        if read(str(self.note)) != _json(self.ordered()):
            return "the one that is there is not for these domains from this server"
        if found.due(now):
            return f"the one that is there expires in {(found.ends - now) / 86_400:.0f} days"
        return ""

    def get(self) -> list[str]:
        """Get a certificate, and have nginx take it where it runs. What was done, in sentences.

        Raises SlipwayError when the server gives none, with everything as it was.
        """
        uid = self.reader.uid()
        with self.alone():
            content = self.order.place(self.answer())
            write(self.file, content, uid)
            replace_file(str(self.note), _json(self.ordered()))
        return [f"Got a certificate for {', '.join(self.order.domains)} from {self.order.server}.", *self.reload()]

    def give(self) -> list[str]:
        """Give the file to nginx's user, who may be another in another image. What was done, in sentences."""
        content, uid = read(str(self.file)), self.reader.uid()
        if not differs(self.file, content, uid):
            return []
        write(self.file, content, uid)
        return [f"Gave {self.file} to nginx's user."]

    def answer(self) -> str:
        """Who answers the challenge: nginx, from ``webroot``, where it is at ``listen``, else lego itself, there.

        Raises SlipwayError when somebody else is there.
        """
        directory = self.webroot / CHALLENGES
        directory.mkdir(parents=True, exist_ok=True)
        for each in (self.webroot.parent, self.webroot, directory.parent, directory):
            each.chmod(0o755)
        token = secrets.token_hex(16)
        file = directory / token
        file.write_text(token)
        file.chmod(0o644)
        request = urllib.request.Request(
            f"http://{self.listen}/{CHALLENGES}/{token}", headers={"Host": self.order.domains[0]}
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        told = b""
        try:
            with direct.open(request, timeout=5) as answer:
                told = answer.read()
        except urllib.error.HTTPError as error:
            error.close()
        except (OSError, http.client.HTTPException):
            return self.listen
        finally:
            file.unlink()
        if told == token.encode():
            return str(self.webroot)
        raise SlipwayError(
            f"What answers at http://{self.listen} does not serve {directory}, so that no ACME server sees there whose "
            "the domains are: where it is this application's nginx, deploy once without ACME, else end the other."
        )

    def reload(self) -> list[str]:
        """Have nginx read the file, where it runs."""
        name = self.reader.container
        if docker.found("container", name, "{{.State.Status}}") != "running":
            return []
        status, words = docker.run("exec", name, "nginx", "-c", self.config, "-t")
        if status:
            raise SlipwayError(
                f"The certificate is in {self.file}, but nginx does not accept its configuration, and goes on with the "
                f"former one: {' '.join(words.split())}"
            )
        docker.must("exec", name, "nginx", "-c", self.config, "-s", "reload")
        return [f"Reloaded {name}."]

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """One order at a time."""
        with open(os.open(self.files / "lock", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def times(domains: Sequence[str]) -> str:
    """Twice a day, in systemd's words, when the day's other hosts most often do not ask the same server."""
    minute = int(hashlib.sha256(" ".join(domains).encode()).hexdigest(), 16) % (12 * 60)
    return f"*-*-* {minute // 60:02},{minute // 60 + 12:02}:{minute % 60:02}"


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def main(arguments: list[str]) -> int:
    """Renew the certificate where that is due; the exit status."""
    try:
        site = Site.from_settings(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
        why = site.why(time.time())
        told = site.get() if why else ["No certificate is due."]
    except (SlipwayError, OSError) as error:
        print(sentence(error), flush=True)
        return 1
    print("\n".join(told), flush=True)
    return 0
