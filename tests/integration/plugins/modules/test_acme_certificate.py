# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with systemd has nginx serve certificates by ACME, from pebble, and from files, without a failed request."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Made, made
from support.release import ROOT, ansible, docker, free_port, images

pytestmark = pytest.mark.container

PLAYBOOK = ROOT / "tests" / "integration" / "roles" / "certificate.yml"
APP = ROOT / "tests" / "integration" / "roles" / "foreign_app"
NAME = "slipway-test-certificate"
HOST = f"{NAME}-host"
SHOP = "shop.example.com"
ACME = made("localhost")  # the ACME server's own
PACKAGES = "systemd systemd-sysv python3-requests lego openssl pebble"
RAN = ("running", "degraded")


def shell(command: str) -> str:
    return docker("exec", HOST, "sh", "-c", command)


def wait(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@dataclass(frozen=True)
class Site:
    home: Path
    port: int
    tls_port: int
    acme_port: int
    root: str
    image: str

    @property
    def file(self) -> Path:
        return self.home / "state" / "frontend" / "config" / "certificate.pem"

    @property
    def acme(self) -> dict[str, str]:
        directory = f"https://localhost:{self.acme_port}/dir"
        return {"email": "ops@example.com", "directory": directory, "ca": str(self.home / "acme.pem")}

    def play(self, *flags: str, **told: object) -> tuple[int, str]:
        """Run the role; how many tasks changed something, -1 when it failed, and what was written."""
        variables: dict[str, object] = {
            "ansible_connection": "community.docker.docker", "ansible_python_interpreter": "/usr/bin/python3",
            "run_name": NAME, "run_image": self.image, "run_port": self.port, "run_tls_port": self.tls_port,
            "run_state": str(self.home / "state"), "run_domains": [SHOP], **told,
        }  # fmt: skip
        done = ansible(
            self.home, "ansible-playbook", "-i", f"{HOST},", "-vvv", *flags, "-e", json.dumps(variables), str(PLAYBOOK)
        )
        said = done.stdout + done.stderr
        assert "PRIVATE KEY" not in said.replace("-----BEGIN PRIVATE KEY----- on.", "")
        return -1 if done.returncode else int(re.findall(r"changed=(\d+)", done.stdout)[-1]), said

    def shown(self, authority: str) -> str:
        """The serial number of the certificate that nginx shows for the site, verified by this authority."""
        context = ssl.create_default_context(cadata=authority)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        with (
            socket.create_connection(("127.0.0.1", self.tls_port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname=SHOP) as connection,
        ):
            found = connection.getpeercert()
        assert found
        return str(found["serialNumber"])

    @contextmanager
    def load(self) -> Iterator[list[str]]:
        """Ask with TLS without a pause, by new connections and by a kept one; what failed."""
        failures: list[str] = []
        done = threading.Event()
        context = ssl._create_unverified_context()

        def ask(keep: bool) -> None:
            connection: http.client.HTTPConnection | None = None
            while not done.is_set():
                try:
                    fresh = connection is None
                    connection = connection or http.client.HTTPSConnection(
                        "127.0.0.1", self.tls_port, timeout=10, context=context
                    )
                    if fresh:
                        raw = socket.create_connection(("127.0.0.1", self.tls_port), timeout=10)
                        connection.sock = context.wrap_socket(raw, server_hostname=SHOP)
                    connection.request("GET", "/ready", headers={"Host": SHOP})
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status != 200:
                        failures.append(f"status {answer.status}")
                    if not keep or answer.will_close:
                        connection.close()
                        connection = None
                except (OSError, http.client.HTTPException) as error:
                    if fresh:  # one that was kept may have been closed between two answers (RFC 9112, section 9.3.1)
                        failures.append(repr(error))
                    connection = None
                done.wait(0.01)

        workers = [threading.Thread(target=ask, args=(keep,)) for keep in (True, False)]
        for worker in workers:
            worker.start()
        try:
            yield failures
        finally:
            done.set()
            for worker in workers:
                worker.join(timeout=15)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    found = images()
    build = f"FROM {found['SLIPWAY_PYTHON_IMAGE']}\nRUN apt-get update -qq && apt-get install -qq "
    build += f'--no-install-recommends {PACKAGES}\nENTRYPOINT []\nCMD ["/lib/systemd/systemd"]\n'
    command = ["docker", "build", "--quiet", "--tag", HOST, "-"]
    subprocess.run(command, input=build, text=True, check=True, timeout=600, stdout=subprocess.DEVNULL)
    docker("network", "create", NAME)
    docker(
        "run", "--detach", "--init", "--name", f"{NAME}-app", "--network", NAME, "--volume", f"{APP}:/srv/app:ro",
        found["SLIPWAY_PYTHON_IMAGE"], "python3", "/srv/app/serve.py",
    )  # fmt: skip
    port, tls_port, acme_port, management = (free_port() for _ in range(4))
    with tempfile.TemporaryDirectory(prefix="slipway-", dir="/tmp") as directory:
        home = Path(directory)
        (home / "acme.pem").write_text(ACME.certificate)
        (home / "acme.key").write_text(ACME.key)
        pebble: dict[str, Any] = {
            "listenAddress": f"127.0.0.1:{acme_port}", "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": f"{home}/acme.pem", "privateKey": f"{home}/acme.key", "httpPort": port, "tlsPort": 1,
        }  # fmt: skip
        (home / "pebble.json").write_text(json.dumps({"pebble": pebble}))
        # The host shares this machine's engine and network, so that 127.0.0.1 is where nginx is published.
        docker(
            "run", "--detach", "--name", HOST, "--network", "host", "--add-host", f"{SHOP}:127.0.0.1",
            "--tmpfs", "/run", "--tmpfs", "/run/lock", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro",
            "--volume", f"{shutil.which('docker')}:/usr/bin/docker:ro",
            "--volume", "/var/run/docker.sock:/run/docker.sock", "--volume", f"{home}:{home}", "--cap-add", "SYS_ADMIN",
            "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", HOST,
        )  # fmt: skip
        running = ["docker", "exec", HOST, "systemctl", "is-system-running"]
        wait(lambda: subprocess.run(running, capture_output=True, text=True, check=False).stdout.strip() in RAN)
        docker(
            "exec", "--detach", "--env", "PEBBLE_VA_NOSLEEP=1", "--env", "PEBBLE_WFE_NONCEREJECT=0", HOST,
            "pebble", "-config", f"{home}/pebble.json",
        )  # fmt: skip
        root = ""

        def answers() -> bool:
            nonlocal root
            connection = http.client.HTTPSConnection(
                "127.0.0.1", management, timeout=5, context=ssl._create_unverified_context()
            )
            try:
                connection.request("GET", "/roots/0")
                root = connection.getresponse().read().decode()
            except OSError:
                return False
            return "BEGIN CERTIFICATE" in root

        wait(answers)
        yield Site(home, port, tls_port, acme_port, root, found["SLIPWAY_NGINX_IMAGE"])
        for name in (HOST, f"{NAME}-nginx", f"{NAME}-app"):
            subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)
        docker("network", "rm", NAME)


def test_a_server_that_refuses_leaves_nothing_behind(site: Site) -> None:
    changed, said = site.play(run_acme=site.acme, run_domains=[SHOP, "nowhere.invalid"])
    assert changed == -1
    assert f"No certificate for {SHOP}, nowhere.invalid from {site.acme['directory']}: " in said
    assert "(dns)" in said or "(connection)" in said
    assert not site.file.exists()
    assert not (site.home / "state" / "certificate" / "settings.json").exists()
    assert not docker("ps", "--quiet", f"--filter=name={NAME}-nginx")
    assert shell("ls /etc/systemd/system").count(NAME) == 0


def test_a_certificate_is_there_before_nginx(site: Site) -> None:
    changed, said = site.play("--check", run_acme=site.acme)
    assert changed > 0, said
    assert not site.file.exists()
    changed, said = site.play(run_acme=site.acme)
    assert changed == 3, said
    assert site.shown(site.root)
    nginx = int(docker("exec", f"{NAME}-nginx", "id", "-u"))
    assert (site.file.stat().st_mode & 0o777, site.file.stat().st_uid) == (0o600, nginx)
    for file in (site.home / "state" / "certificate").rglob("*"):
        assert not file.is_file() or file.stat().st_mode & 0o777 == 0o600, file
    assert (site.home / "state" / "certificate").stat().st_mode & 0o777 == 0o700
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    connection.request("GET", "/a", headers={"Host": SHOP})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, f"https://{SHOP}:{site.tls_port}/a")
    connection.close()
    assert shell(f"systemctl show --value --property=ActiveState {NAME}.timer") == "active"


def renew(site: Site) -> str:
    """Start what the timer starts; what it wrote."""
    subprocess.run(["docker", "exec", HOST, "systemctl", "start", NAME], capture_output=True, check=False)
    return shell(f"journalctl --unit {NAME} --output cat --lines 4")


def test_the_host_renews_it_without_a_failed_request(site: Site) -> None:
    before = site.shown(site.root)
    assert "No certificate is due." in renew(site)
    assert site.shown(site.root) == before
    (site.home / "state" / "certificate" / "ordered.json").unlink()
    with site.load() as failures:
        said = renew(site)
        wait(lambda: site.shown(site.root) != before, 10)
    assert f"Got a certificate for {SHOP} from {site.acme['directory']}." in said
    assert failures == []


def test_a_second_run_changes_nothing(site: Site) -> None:
    before = site.shown(site.root)
    changed, said = site.play(run_acme=site.acme)
    assert changed == 0, said
    assert site.shown(site.root) == before


def test_what_is_refused_later_leaves_what_serves(site: Site) -> None:
    before, file = site.shown(site.root), site.file.read_text()
    changed, said = site.play(run_acme=site.acme, run_domains=[SHOP, "nowhere.invalid"])
    assert changed == -1
    assert "what served before goes on" in said
    assert (site.shown(site.root), site.file.read_text()) == (before, file)
    assert "No certificate is due." in renew(site)
    changed, said = site.play(run_acme=site.acme)
    assert changed == 0, said


def files(site: Site, pair: Made) -> dict[str, str]:
    """The role's variables for a certificate and a key in files of the controller."""
    (site.home / "shop.pem").write_text(pair.certificate)
    (site.home / "shop.key").write_text(pair.key)
    return {"run_certificate": str(site.home / "shop.pem"), "run_key": str(site.home / "shop.key")}


def test_files_take_its_place_and_one_anothers(site: Site) -> None:
    first, second = made(SHOP), made(SHOP)
    with site.load() as failures:
        changed, said = site.play(**files(site, first))
        assert changed == 3, said  # the file, the timer, the switch
        assert site.shown(first.certificate)
        changed, said = site.play(**files(site, second))
        assert (changed, site.shown(second.certificate) != "") == (2, True), said
    assert failures == []
    assert shell("ls /etc/systemd/system").count(NAME) == 0
    assert not (site.home / "state" / "certificate").exists()
