# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy leaves on a host that was bare: seen over SSH as the user who deploys, and over HTTPS from outside."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.bed import BED, PROJECT, SITE, Site, address, host, root
from support.hosts import command, surroundings
from testinfra.host import Host

LABEL = "autotest-hosts-one"
STATE = "/var/lib/slipway/autotest/hosts-one"
CALLS = 25  # remote module tasks of a deploy that has nothing to do


@pytest.fixture(scope="module", name="host")
def one() -> Host:
    return host("one")


@pytest.fixture(scope="module", name="root")
def pebbles() -> str:
    return root()


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


def test_the_application_answers_over_https(root: str) -> None:
    with contextlib.closing(Site("one", root)) as connection:
        connection.request("GET", "/api/v1/teams")
        answer = connection.getresponse()
        teams: dict[str, Any] = json.loads(answer.read())
    assert answer.status == 200
    assert teams["total"] > 0
    assert answer.headers["Strict-Transport-Security"] == "max-age=86400"


def test_http_is_redirected() -> None:
    connection = http.client.HTTPConnection(address("one"), 80, timeout=10)
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


def deploy(*more: str) -> subprocess.CompletedProcess[str]:
    asked = command(PROJECT / "deploy.yml", *more)
    return subprocess.run(asked, env=surroundings(), capture_output=True, text=True, timeout=300, check=False)


def listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(10)
        return client.connect_ex((address("one"), port)) == 0


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

    before = asked()
    done = deploy()
    assert not done.returncode, done.stdout + done.stderr
    assert "changed=0" in done.stdout
    assert 0 < asked() - before <= CALLS


def another() -> str:
    """The name of a release that was not deployed before."""
    return f"r{time.time():.0f}"


@dataclass(frozen=True)
class Wrong:
    """What is wrong, with what was said or with the host, and what the run says to it."""

    told: str
    variables: dict[str, Any] = field(default_factory=dict)
    done: str = "true"  # by root, on the host
    undone: str = "true"


WRONG = {
    "another key": Wrong(
        r"Permission denied \(publickey",
        {"ansible_ssh_private_key_file": f"{BED}/another", "ansible_ssh_args": "-o ControlMaster=no"},
    ),
    "a key of the host that is not known": Wrong(
        r"Host key verification failed",
        {"ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null", "ansible_ssh_args": "-o ControlMaster=no"},
    ),
    "no sudo": Wrong(
        r"becomes root there only with a password: run again with -K",
        done="mv /etc/sudoers.d/deploy /root", undone="mv /root/deploy /etc/sudoers.d",
    ),
    "a system that is not supported": Wrong(
        r"lacks what Ansible's Docker modules need of Python, and is no Debian or Ubuntu \(Rocky Linux 9\.6",
        done="mv /usr/bin/apt-get /etc/os-release /usr/lib/python3/dist-packages/requests /root;"
        " echo 'PRETTY_NAME=\"Rocky Linux 9.6\"' >/etc/os-release",
        undone="mv /root/apt-get /usr/bin; mv /root/os-release /etc; mv /root/requests /usr/lib/python3/dist-packages",
    ),
    "an image that does not exist": Wrong(
        r"outside\.test/postgres@sha256:0{64}.* manifest unknown",
        {"database_image": f"outside.test/postgres@sha256:{'0' * 64}", "database_version": 15},
    ),
    "a port that is taken": Wrong(
        r"Port 8042 on 0\.0\.0\.0 is in use by another process", {"app_port": 8042},
        done="systemd-run --unit taken python3 -m http.server 8042; until (</dev/tcp/127.0.0.1/8042); do :; done",
        undone="systemctl stop taken",
    ),
    "no room for the backup": Wrong(
        r"kB are free in .*/backups, but .* are wanted to dump and restore", {"app_release": another()},
        done=f"mkdir -p {STATE}/backups; mount -t tmpfs -o size=16k tmpfs {STATE}/backups",
        undone=f"umount {STATE}/backups",
    ),
    "an application that crashes": Wrong(
        r"did not get healthy: its process has ended .* still serves\. .* AUTOTEST_SECRET_KEY is not set",
        {"app_release": another(), "app_env": {"DATABASE_URL": "postgresql://nobody:none@127.0.0.1:1/none"}},
    ),
    "a domain that the ACME server refuses": Wrong(
        r"nowhere\.example\.com", {"app_domains": [SITE, "nowhere.example.com"]},
    ),
    "a certificate that does not match": Wrong(
        r"does not name shop\.example\.com",
        {"app_acme": {}, "app_certificate": f"{BED}/outside.pem", "app_certificate_key": f"{BED}/outside.key"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_and_the_release_serves_on(root: str, name: str) -> None:
    wrong, key = WRONG[name], BED / "another"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    inside = ["docker", "exec", "slipway-molecule-one", "bash", "-euc"]
    subprocess.run([*inside, wrong.done], check=True, timeout=60)
    try:
        done = deploy("-e", json.dumps(wrong.variables))
    finally:
        subprocess.run([*inside, wrong.undone], check=True, timeout=60)
    assert done.returncode
    said = " ".join((done.stdout + done.stderr).split())
    assert re.search(wrong.told, said), said
    with contextlib.closing(Site("one", root)) as connection:
        connection.request("GET", "/api/v1/teams")
        assert connection.getresponse().status == 200
