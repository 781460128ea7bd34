# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles backend and frontend on a real Docker engine: the tests run in order and share one deployed release."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.release import APP, ansible, docker, free_port, get, images, load

pytestmark = pytest.mark.container

HERE = Path(__file__).parent
NAME = "slipway-test-release"


def address(container: str) -> str:
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return docker("container", "inspect", "--format", template, container)


@dataclass(frozen=True)
class Run:
    """What came of one run of the playbook."""

    status: int
    output: str

    @property
    def changed(self) -> int:
        return int(re.findall(r"changed=(\d+)", self.output)[-1])


@dataclass(frozen=True)
class Site:
    """One deployment of the test's application."""

    home: Path
    port: int
    images: dict[str, str]

    def run(self, release: str, *flags: str, **more: object) -> Run:
        variables = {
            "run_name": NAME,
            "run_port": self.port,
            "run_release": release,
            "run_state": str(self.home / "state"),
            "run_context": str(self.home / "app"),
            "run_static": str(self.home / "static"),
            "run_python_image": self.images["SLIPWAY_PYTHON_IMAGE"],
            "run_nginx_image": self.images["SLIPWAY_NGINX_IMAGE"],
            **more,
        }
        done = ansible(
            self.home, "ansible-playbook", "-i", "localhost,", "-c", "local", "-v", *flags,
            "--extra-vars", json.dumps(variables), str(HERE / "release.yml"),
        )  # fmt: skip
        return Run(done.returncode, done.stdout + done.stderr)

    def deploy(self, release: str, **more: object) -> Run:
        found = self.run(release, **more)
        assert not found.status, found.output
        return found

    def containers(self) -> dict[str, str]:
        """State of each backend container, by its release."""
        listing = docker(
            "ps", "--all", f"--filter=label=slipway.backend={NAME}-backend",
            '--format={{.Label "slipway.release"}} {{.State}} {{.Names}}',
        )  # fmt: skip
        return {line.split()[0]: line.split()[1] for line in listing.splitlines()}

    def container(self, release: str) -> str:
        return docker("ps", "--quiet", f"--filter=label=slipway.release={release}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("release")
    shutil.copytree(APP, home / "app")
    shutil.copytree(HERE / "release_static", home / "static")
    found = Site(home, free_port(), images())
    yield found
    found.run("gone", run_verb="absent")
    docker("network", "rm", NAME)
    for image in docker("image", "ls", "--quiet", f"--filter=label=slipway.image={NAME}-backend").split():
        docker("image", "rm", "--force", image)


def test_check_of_a_first_deploy_changes_nothing(site: Site) -> None:
    found = site.run("one", "--check")
    assert not found.status, found.output
    assert found.changed > 0
    assert site.containers() == {}
    assert not (site.home / "state").exists()
    docker("network", "create", NAME)


def test_a_first_deploy_serves_page_and_api(site: Site) -> None:
    site.deploy("one")
    assert get(site.port) == (200, "one", '{"status": "ok", "release": "one"}')
    status, release, page = get(site.port, "/")
    assert (status, release) == (200, "one")
    assert "The page" in page
    assert docker("port", f"{NAME}-nginx") == f"8080/tcp -> 127.0.0.1:{site.port}"
    assert docker("port", site.container("one")) == ""


def test_a_second_run_changes_nothing_in_five_remote_tasks(site: Site) -> None:
    found = site.deploy("one")
    assert found.changed == 0
    tasks = re.findall(r"^TASK \[(.*?)\] \*+\n(?!skipping|included)", found.output, re.MULTILINE)
    on_the_controller = r"Validating arguments|\| Note |Name it after"
    remote = [task for task in tasks if not re.search(on_the_controller, task)]
    assert len(remote) == 5, remote


def test_containers_are_hardened_and_bounded(site: Site) -> None:
    for container in (site.container("one"), f"{NAME}-nginx"):
        found = json.loads(docker("container", "inspect", container))[0]
        host = found["HostConfig"]
        assert host["CapDrop"] == ["ALL"]
        assert host["ReadonlyRootfs"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert host["Memory"] > 0
        assert host["PidsLimit"] > 0
        assert host["LogConfig"]["Config"]["max-size"] == "50m"
        assert found["Config"]["StopTimeout"] > 0
        assert found["Config"]["User"] not in ("", "root", "0")


def test_a_release_is_swapped_in_without_a_failed_request(site: Site) -> None:
    (site.home / "static" / "index.html").write_text("<h1>Another page</h1>")
    with load(site.port) as found:
        site.deploy("two")
    assert found.failures == []
    assert found.answers["one"] > 20
    assert found.answers["two"] > 0
    assert "Another page" in get(site.port, "/")[2]
    assert site.containers() == {"two": "running", "one": "exited"}


def test_the_old_release_is_still_there_for_a_rollback(site: Site) -> None:
    with load(site.port) as found:
        site.deploy("one")
    assert found.failures == []
    assert get(site.port)[1] == "one"
    assert site.containers() == {"one": "running", "two": "exited"}


@pytest.mark.parametrize(
    ("fault", "said"), [("BROKEN", "flooded at postgresql://app:********@db/1"), ("CRASH", "no such setting: CRASH")]
)
def test_a_release_that_does_not_get_healthy_is_not_served(site: Site, fault: str, said: str) -> None:
    environment = {fault: "1", "DATABASE_URL": "postgresql://app:hunter2@db/1"}
    found = site.run("bad", run_env=environment, backend_start_timeout=6)
    assert found.status != 0
    assert "did not get healthy" in found.output
    assert said in found.output
    assert "hunter2" not in found.output
    assert get(site.port)[1] == "one"
    assert site.containers() == {"one": "running", "two": "exited"}


def test_a_configuration_that_nginx_refuses_is_put_back(site: Site) -> None:
    before = (site.home / "state/frontend/config/nginx.conf").read_text()
    found = site.run("three", frontend_max_body_size="much")
    assert found.status != 0
    assert '"client_max_body_size" directive invalid value' in found.output
    assert (site.home / "state/frontend/config/nginx.conf").read_text() == before
    assert get(site.port)[1] == "one"


def test_a_release_that_does_not_answer_through_nginx_is_switched_back(site: Site) -> None:
    found = site.run("three", frontend_upstream_port=9, frontend_verify_timeout=2)
    assert found.status != 0
    assert "Through nginx the new release does not answer" in found.output
    assert get(site.port)[1] == "one"


def test_the_next_good_run_succeeds_and_clears_up(site: Site) -> None:
    site.deploy("three")
    assert get(site.port)[1] == "three"
    assert site.containers() == {"three": "running", "one": "exited"}


def test_nginx_finds_a_container_at_its_new_address(site: Site) -> None:
    container = site.container("three")
    before = address(container)
    docker("stop", container)
    squatters: list[str] = []
    try:
        while not squatters or address(squatters[-1]) != before:
            assert len(squatters) < 10
            run = ("run", "--detach", "--init", "--network", NAME, site.images["SLIPWAY_PYTHON_IMAGE"], "sleep", "60")
            squatters.append(docker(*run))
        status, _, body = get(site.port, Accept="application/json")
        assert (status, "not available" in json.loads(body)["detail"]) == (503, True)
        assert get(site.port, "/nothing", Accept="text/html")[2].startswith("<!doctype html>")
        assert get(site.port, "/")[0] == 200  # the page is nginx's own
        docker("start", container)
        assert address(container) != before
        deadline = time.monotonic() + 10
        while get(site.port)[:2] != (200, "three"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        docker("rm", "--force", *squatters)


def test_nginx_is_made_anew_at_another_port(site: Site) -> None:
    port, before = free_port(), get(site.port)[1]
    checked = site.run(before, "--check", run_port=port)
    assert not checked.status, checked.output
    assert checked.changed > 0
    assert get(site.port)[1] == before
    site.deploy("four", run_port=port)
    assert get(port)[1] == "four"
    assert docker("port", f"{NAME}-nginx") == f"8080/tcp -> 127.0.0.1:{port}"
    assert site.containers() == {"four": "running", before: "exited"}
    assert site.deploy("four", run_port=port).changed == 0


def test_a_bad_release_at_another_port_leaves_the_old_one_serving(site: Site) -> None:
    found = site.run("five", frontend_upstream_port=9, frontend_verify_timeout=2)
    assert found.status != 0
    assert "Through nginx the new release does not answer" in found.output
    assert get(site.port)[1] == "four"
    site.deploy("four")


def test_nginx_that_answers_nothing_is_restarted(site: Site) -> None:
    for line in docker("top", f"{NAME}-nginx", "-eo", "pid,args").splitlines()[1:]:
        os.kill(int(line.split()[0]), signal.SIGSTOP)
    site.deploy("five")
    assert get(site.port)[1] == "five"


def test_a_release_that_says_it_is_another_is_switched_back(site: Site) -> None:
    found = site.run("six", run_env={"SAYS": "dev"})
    assert found.status != 0
    assert f"Through nginx container {NAME}-backend-" in found.output
    assert "answers with X-Release 'dev' instead of 'six': it is reached, but is another release" in found.output
    assert get(site.port)[1] == "five"


def test_a_release_without_a_header_is_known_by_its_container(site: Site) -> None:
    site.deploy("six", run_env={"SAYS": ""}, run_header="")
    assert get(site.port)[1:] == ("", '{"status": "ok", "release": "six"}')
    assert site.containers() == {"six": "running", "five": "exited"}
    assert site.deploy("six", run_env={"SAYS": ""}, run_header="").changed == 0


def test_absent_leaves_nothing_running(site: Site) -> None:
    site.deploy("five", run_verb="absent")
    assert docker("ps", "--all", "--quiet", f"--filter=name={NAME}") == ""
    assert site.deploy("five", run_verb="absent").changed == 0
