# SPDX-License-Identifier: GPL-3.0-or-later
"""A host backs its database up without a controller: timers of systemd, or cron; lock, ledger, drill, pings."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible as ansible_package
import pytest
from support.modules import MODULES, result
from support.release import ROOT, ansible, docker

pytestmark = pytest.mark.container

PLAYBOOK = ROOT / "tests" / "integration" / "roles" / "backup_schedule.yml"
HOST = "slipway-test-schedule"
IMAGE = os.environ.get("SLIPWAY_POSTGRES_IMAGE", "slipway-standin/postgres:15")
NAME = "shop-test-backup"
STATE = "/srv/slip way%"  # what needs quoting in a unit
PASSWORD, REPOSITORY_PASSWORD = "the-superuser's", "the repository's $pass"
DOCKERFILE = f"""\
FROM {IMAGE}
USER root
RUN apt-get update -qq && apt-get install -qq --no-install-recommends systemd systemd-sysv cron python3-psycopg2 restic
ENTRYPOINT []
CMD ["/lib/systemd/systemd"]
"""
SERVER = f"""\
set -e
mkdir -p /run/postgresql /var/lib/data '{STATE}'; chown postgres /run/postgresql /var/lib/data; chmod 700 '{STATE}'
bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb)")
echo "{PASSWORD}" >/tmp/password
su postgres -c "$bin/initdb --pgdata=/var/lib/data --auth=scram-sha-256 --pwfile=/tmp/password" >/dev/null
su postgres -c "$bin/pg_ctl -D /var/lib/data --options='-k /run/postgresql' --log=/tmp/log --wait start" >/dev/null
"""
SWITCH = """
import http.server
class Switch(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        open("/pings", "a").write(f"{self.path} {body}\\n")
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8099), Switch).serve_forever()
"""
ARGUMENTS: dict[str, Any] = {
    "login_unix_socket": "/run/postgresql", "login_user": "postgres", "login_password": PASSWORD, "login_db": "shop",
    "name": NAME, "files": f"{STATE}/schedule", "schedule": "*-01-01 03:00:00", "drill_schedule": "yearly",
    "ping_url": "http://127.0.0.1:8099/hook", "wait": 0, "state_directory": STATE, "directory": f"{STATE}/backups",
    "application": "shop", "environment_name": "test", "offsite": "/srv/away", "offsite_password": REPOSITORY_PASSWORD,
    "keep": 2, "keep_days": 0, "keep_releases": 0,
}  # fmt: skip
RUN = {
    "application": "shop", "environment": "test", "verb": "deploy", "user": "maria", "controller": "x", "machine": "",
    "since": "now", "fence": 1,
}  # fmt: skip


def shell(command: str) -> str:
    return docker("exec", HOST, "sh", "-c", command)


def sql(statement: str, database: str = "shop") -> str:
    return docker(
        "exec", "--env", f"PGPASSWORD={PASSWORD}", HOST, "psql", "-h", "/run/postgresql", "-U", "postgres", "-XAtq",
        "-c", statement, database,
    )  # fmt: skip


@dataclass(frozen=True)
class Site:
    home: Path

    def play(self) -> int:
        """Run the role, so that the program is made of what Ansible sends; how many tasks changed something."""
        told = {
            "ansible_connection": "community.docker.docker", "ansible_python_interpreter": "/usr/bin/python3",
            "run_arguments": ARGUMENTS,
        }  # fmt: skip
        done = ansible(self.home, "ansible-playbook", "-i", f"{HOST},", "-e", json.dumps(told), str(PLAYBOOK))
        assert "failed=0" in done.stdout, done.stdout
        assert PASSWORD not in done.stdout + done.stderr
        assert REPOSITORY_PASSWORD not in done.stdout + done.stderr
        return int(re.findall(r"changed=(\d+)", done.stdout)[-1])

    def module(self, *, check: bool = False, systemd: bool = True, **more: object) -> dict[str, Any]:
        """Run the module alone on the host; it does not see that it runs systemd where that is told."""
        arguments = {**ARGUMENTS, **more}
        prefix = [] if systemd else ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs x /run/systemd; exec "$@"', "sh"]
        done = subprocess.run(
            ["docker", "exec", "--interactive", "--env", "PYTHONPATH=/checkout/collections:/packages", HOST,
             *prefix, "/usr/bin/python3", "-B", "-m", f"{MODULES}.backup_schedule"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check}}),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        return result(done.stdout, {})

    def start(self, name: str = NAME) -> tuple[int, str]:
        """Have systemd run it now; its exit status, and what it wrote."""
        begun = time.time()
        subprocess.run(["docker", "exec", HOST, "systemctl", "start", name], capture_output=True, check=False)
        status = shell(f"systemctl show --value --property=ExecMainStatus {name}")
        return int(status), shell(f"journalctl --unit {name} --output cat --since @{begun:.0f}")

    def backups(self) -> list[dict[str, Any]]:
        # One may be removed meanwhile, by a run that the timer has started.
        look = "for f in *.json; do if cat $f 2>/dev/null; then echo =; fi; done"
        texts = shell(f"cd '{STATE}/backups' && {look}").split("\n=")
        return [json.loads(text) for text in texts if text.strip()]

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in shell(f"cat '{STATE}/deployments.jsonl'").splitlines()]

    def drilled(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(shell(f"cat '{STATE}/backups/offsite/drill.json'"))
        return found

    def pings(self) -> list[str]:
        return shell("cat /pings 2>/dev/null; rm -f /pings").splitlines()

    def lock(self, **process: object) -> None:
        """The lock of a deploy, of a process of this host."""
        docker(
            "exec", HOST, "python3", "-c",
            "import json, os, sys; d = json.loads(sys.argv[1]); "
            "d['boot'] = open('/proc/sys/kernel/random/boot_id').read().strip(); "
            "d['namespace'] = os.stat('/proc/self/ns/pid').st_ino; open(sys.argv[2], 'w').write(json.dumps(d))",
            json.dumps({**RUN, **process}), f"{STATE}/lock.json",
        )  # fmt: skip


def wait(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    tag = f"{HOST}-host"
    build = ["docker", "build", "--quiet", "--tag", tag, "-"]
    subprocess.run(build, input=DOCKERFILE, text=True, check=True, timeout=600, stdout=subprocess.DEVNULL)
    docker(
        "run", "--detach", "--name", HOST, "--network", "none", "--tmpfs", "/run", "--tmpfs", "/run/lock",
        "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro", "--volume", f"{ROOT}:/checkout:ro",
        "--volume", f"{Path(ansible_package.__file__).parent}:/packages/ansible:ro", "--cap-add", "SYS_ADMIN",
        "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", tag,
    )  # fmt: skip
    running = ["docker", "exec", HOST, "systemctl", "is-system-running"]
    wait(lambda: subprocess.run(running, capture_output=True, text=True, check=False).stdout.strip() in RAN)
    shell(SERVER)
    subprocess.run(["docker", "exec", "--detach", HOST, "python3", "-c", SWITCH], check=True)
    sql("CREATE DATABASE shop", "postgres")
    sql("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 3)")
    with tempfile.TemporaryDirectory(prefix="slipway-", dir="/tmp") as home:
        yield Site(Path(home))
    docker("rm", "--force", "--volumes", HOST)


RAN = ("running", "degraded")


def test_four_runs(site: Site) -> None:
    refused = site.module(schedule="every full moon")["msg"]
    assert refused.startswith(
        "'every full moon' is no time of a schedule: systemd-analyze calendar every full moon failed"
    )
    check = site.module(check=True)
    assert [each for each in check["actions"] if each.startswith("Started")] == [
        f"Started timer {NAME}, *-01-01 03:00:00.", f"Started timer {NAME}-drill, yearly.",
    ]  # fmt: skip
    assert shell(f"ls '{STATE}'") == ""
    assert site.play() == 1
    assert site.play() == 0
    # What the checkout makes is what Ansible sent; these tests do not wait for the lock.
    assert site.module(check=True)["actions"] == [f"Wrote {STATE}/schedule/settings.json."]
    assert site.module()["changed"] is True
    assert site.module(check=True)["changed"] is False
    assert site.module()["changed"] is False
    for timer in (NAME, f"{NAME}-drill"):
        assert shell(f"systemctl show --value --property=ActiveState {timer}.timer") == "active"
    assert shell(f"stat --format=%a '{STATE}/schedule/settings.json'") == "600"
    assert shell(f"systemctl cat '{NAME}*'").count(PASSWORD) == 0


def test_a_backup_is_taken_proved_sent_and_noted(site: Site) -> None:
    status, said = site.start()
    assert status == 0, said
    assert "Restored it into shop_scratch and compared 1 table, 3 rows" in said
    assert "Sent backup " in said
    [manifest] = site.backups()
    assert (manifest["taken_by"], manifest["proved"], manifest["rows"]) == ("schedule", True, 3)
    snapshots = docker(
        "exec", "--env", f"RESTIC_PASSWORD={REPOSITORY_PASSWORD}", HOST, "restic", "-r", "/srv/away", "--no-cache",
        "snapshots", "--json",
    )  # fmt: skip
    assert [f"backup={manifest['name']}" in each["tags"] for each in json.loads(snapshots)] == [True]
    record = site.records()[-1]
    assert (record["verb"], record["status"], record["facts"]) == (
        "scheduled backup", "succeeded", {"backup": manifest["name"]},
    )  # fmt: skip
    assert site.pings() == ["/hook"]
    assert shell(f"ls '{STATE}'").split("\n") == ["backups", "deployments.jsonl", "fence", "schedule"]
    assert sql("SELECT datname FROM pg_database WHERE datname ~ 'shop_'") == ""


def test_it_stops_while_a_run_is_at_work_and_goes_on_when_that_is_dead(site: Site) -> None:
    ticks = shell("cut -d')' -f2 /proc/1/stat").split()[19]
    site.lock(pid=1, started_ticks=int(ticks))
    status, said = site.start()
    assert status == 1
    assert "shop/test is locked: deploy by maria@x (pid 1) since now; run again when that has ended" in said
    assert len(site.backups()) == 1
    [ping] = site.pings()
    assert ping.startswith("/hook/fail shop/test is locked")
    site.lock(pid=1, started_ticks=1)  # another process by now
    sql("INSERT INTO orders VALUES (4)")
    assert site.start()[0] == 0
    assert len(site.backups()) == 2


def test_the_timer_starts_it(site: Site) -> None:
    sql("INSERT INTO orders VALUES (5)")
    assert site.module(schedule="*:*:0/2")["actions"] == [
        f"Wrote /etc/systemd/system/{NAME}.timer.", f"Started timer {NAME}, *:*:0/2.",
    ]  # fmt: skip
    wait(lambda: site.backups()[-1]["rows"] == 5)
    assert site.module()["changed"] is True
    wait(lambda: shell(f"systemctl show --value --property=ActiveState {NAME}") == "inactive")
    assert len(site.backups()) == 2  # and what is kept no more is removed


def test_a_drill(site: Site) -> None:
    status, said = site.start(f"{NAME}-drill")
    assert status == 0, said
    newest = site.backups()[-1]["name"]
    assert f"Restored backup {newest} from its copy away from here into a scratch database and compared 5 rows" in said
    drilled = site.drilled()
    assert (drilled["backup"], drilled["where"], drilled["problem"]) == (newest, "away", "")
    assert sql("SELECT datname FROM pg_database WHERE datname ~ 'shop_'") == ""
    site.pings()
    shell(
        "for f in $(find /srv/away/data -type f); do chmod 600 $f; printf x | dd of=$f bs=1 seek=99 conv=notrunc; done"
    )
    status, said = site.start(f"{NAME}-drill")
    assert status == 1
    assert site.drilled()["problem"].startswith(f"The copy of backup '{newest}' in /srv/away can't be used:")
    assert site.records()[-1]["status"] == "failed"
    [ping] = site.pings()
    assert ping.startswith("/hook/fail The drill failed: The copy of backup")


def test_cron_where_there_is_no_systemd(site: Site) -> None:
    """And what systemd has started before is removed."""
    sql("INSERT INTO orders VALUES (6)")
    told = {"systemd": False, "schedule": "*:*", "drill_schedule": "Sun 05:00", "offsite": ""}
    assert site.module(**{**told, "schedule": "*:*:0/2"})["msg"].startswith(
        "'*:*:0/2' is no time that cron can be told"
    )
    expected = [
        f"Wrote {STATE}/schedule/settings.json.",
        f"Wrote {NAME} into /etc/cron.d/{NAME}, *:*.",
        f"Wrote {NAME}-drill into /etc/cron.d/{NAME}-drill, Sun 05:00.",
        f"Stopped and removed timer {NAME}.",
        f"Stopped and removed timer {NAME}-drill.",
    ]
    for check in (True, False):
        assert site.module(check=check, **told)["actions"] == expected
    for check in (True, False):
        assert site.module(check=check, **told)["changed"] is False
    wait(lambda: site.backups()[-1]["rows"] == 6, 90)
    wait(lambda: site.records()[-1]["facts"].get("backup") == site.backups()[-1]["name"])
    assert "compared 1 table, 6 rows" in shell(f"cat '{STATE}/schedule/backup.log'")
    assert shell("grep -c . /etc/cron.d/" + NAME) == "2"
    assert PASSWORD not in shell(f"cat /etc/cron.d/{NAME}")
    # And back.
    back = site.module(drill_schedule="")["actions"]
    assert back[-2:] == [f"Removed {name} from /etc/cron.d/{name}." for name in (NAME, f"{NAME}-drill")]
    assert shell("find /etc/cron.d -name '*shop*'") == ""


def test_absent(site: Site) -> None:
    kept = len(site.backups())
    site.module()
    assert site.module(drill_schedule="")["actions"] == [f"Stopped and removed timer {NAME}-drill."]
    expected = [f"Stopped and removed timer {NAME}.", f"Deleted {STATE}/schedule."]
    for check in (True, False):
        assert site.module(check=check, state="absent")["actions"] == expected
    assert site.module(state="absent")["changed"] is False
    assert [name for name in shell("ls /etc/systemd/system").split() if "shop" in name] == []
    assert shell(f"systemctl show --value --property=LoadState {NAME}.timer") == "not-found"
    assert len(site.backups()) == kept
