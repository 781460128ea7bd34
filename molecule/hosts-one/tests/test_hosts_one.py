# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy leaves on a host that was bare: seen over SSH as the user who deploys, and over HTTPS from outside."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

BED = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "bed"
PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
SITE = "shop.example.com"
LABEL = "autotest-hosts-one"
STATE = "/var/lib/slipway/autotest/hosts-one"
CALLS = 25  # remote module tasks of a deploy that has nothing to do

ADDRESS = (BED / "address-one").read_text().strip()
SSH = f"-o UserKnownHostsFile={BED}/known_hosts -o StrictHostKeyChecking=yes"


@pytest.fixture(scope="module")
def host() -> Host:
    found: Host = testinfra.get_host(
        f"ssh://deploy@{ADDRESS}?sudo=true", ssh_identity_file=str(BED / "deploy"), ssh_extra_args=SSH
    )
    return found


@pytest.fixture(scope="module")
def root() -> str:
    """The certificate of pebble's authority, new with each start."""
    outside = ["docker", "exec", "slipway-molecule-outside", "python3", "-c"]
    ask = "import ssl, urllib.request as r; c = ssl._create_unverified_context(); "
    ask += "print(r.urlopen('https://localhost:15000/roots/0', context=c).read().decode())"
    return subprocess.run([*outside, ask], capture_output=True, text=True, check=True, timeout=30).stdout


@pytest.fixture
def connection(root: str) -> Iterator[http.client.HTTPSConnection]:
    """To the site by its name, at the host's address; no other certificate is believed."""
    context = ssl.create_default_context(cadata=root)
    connection = http.client.HTTPSConnection(SITE, timeout=10)
    connection.sock = context.wrap_socket(socket.create_connection((ADDRESS, 443), timeout=10), server_hostname=SITE)
    yield connection
    connection.close()


def test_the_engine_is_the_distributions_and_starts_at_boot(host: Host) -> None:
    assert host.package("docker.io").is_installed
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled


def test_images_are_those_of_the_registry_by_digest(host: Host) -> None:
    names = host.check_output(f"docker ps --filter name={LABEL} --format '{{{{.Names}}}}'").split()
    kinds = sorted(name.removeprefix(f"{LABEL}-").split("-")[0] for name in names)
    assert kinds == ["backend", "frontend", "postgres"]
    wanted = json.loads((BED / "images.json").read_text())
    for kind, image in (("postgres", "postgres"), ("frontend", "nginx")):
        used = host.check_output(f"docker inspect --format '{{{{.Image}}}}' {LABEL}-{kind}")
        assert used == host.check_output(f"docker image inspect --format '{{{{.Id}}}}' {wanted[image]}")


def test_the_application_answers_over_https(connection: http.client.HTTPSConnection) -> None:
    connection.request("GET", "/api/v1/teams")
    answer = connection.getresponse()
    teams: dict[str, Any] = json.loads(answer.read())
    assert answer.status == 200
    assert teams["total"] > 0
    assert answer.headers["Strict-Transport-Security"] == "max-age=86400"


def test_http_is_redirected() -> None:
    connection = http.client.HTTPConnection(ADDRESS, 80, timeout=10)
    connection.request("GET", "/builds", headers={"Host": SITE})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, f"https://{SITE}/builds")
    connection.close()


def test_the_host_renews_the_certificate_itself(host: Host) -> None:
    assert host.service(f"{LABEL}-certificate.timer").is_running
    assert host.service(f"{LABEL}-certificate.timer").is_enabled
    renewal = host.run(f"systemctl start {LABEL}-certificate")
    assert renewal.succeeded, host.run(f"journalctl --unit {LABEL}-certificate --lines 20").stdout
    said = host.check_output(f"journalctl --unit {LABEL}-certificate --output cat --lines 4")
    assert "No certificate is due." in said


def listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(10)
        return client.connect_ex((ADDRESS, port)) == 0


def test_what_the_outside_reaches_is_ssh_and_nginx() -> None:
    assert [port for port in range(1, 2**16) if listens(port)] == [22, 80, 443]


def test_state_is_for_root_alone(host: Host) -> None:
    directory = host.file(STATE)
    assert (directory.user, directory.mode) == ("root", 0o700)
    assert host.file(f"{STATE}/frontend/config/certificate.pem").mode == 0o600
    assert not host.file(f"{STATE}/lock.json").exists
    newest = json.loads(host.file(f"{STATE}/deployments.jsonl").content_string.splitlines()[-1])
    assert (newest["verb"], newest["status"], newest["facts"]["address"]) == ("deploy", "succeeded", f"https://{SITE}")


def test_nothing_is_left_where_modules_ran(host: Host) -> None:
    assert host.check_output("find /root /home/deploy -path '*/.ansible/tmp/*'") == ""
    assert host.check_output("find /tmp -maxdepth 1 -name 'slipway-*'") == ""


def test_a_deploy_that_has_nothing_to_do_asks_little_of_the_host(host: Host) -> None:
    """Counted by sudo, which each module that runs on the host goes through."""

    def asked() -> int:
        return int(
            host.run("journalctl --identifier sudo --output cat | grep -c 'USER=root.*COMMAND=.*BECOME-SUCCESS'").stdout
        )

    inventory = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "inventory" / "hosts.yml"
    environment = {**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}
    command = ["ansible-playbook", str(PROJECT / "deploy.yml"), "-i", str(inventory)]
    before = asked()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert not done.returncode, done.stdout + done.stderr
    assert "changed=0" in done.stdout
    assert 0 < asked() - before <= CALLS
