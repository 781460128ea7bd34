# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible packed in one run is what the next one uses, as long as nothing that went into it has changed."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import ansible
import pytest
from ansible_collections.slipway.deploy.plugins.callback.payload_cache import contents
from support.playbook import play
from support.release import ROOT

pytestmark = pytest.mark.once
USED = "ANSIBALLZ: using cached module: "
PACKED = "ANSIBALLZ: Creating module"
LOOK = """\
- name: Look
  hosts: localhost
  gather_facts: false
  tasks:
    - name: At a certificate that is not there
      slipway.deploy.certificate_info:
        path: /nowhere.pem
    - name: At a module of the collection that each run needs
      community.docker.current_container_facts:
    - name: At a file that is not there
      ansible.builtin.stat:
        path: /nowhere.pem
"""
PLUGINS = ROOT / "plugins"
DOCKER = Path(ansible.__file__).parents[1] / "ansible_collections/community/docker/plugins"
NAMES = [
    "ansible_collections.community.docker.plugins.modules.current_container_facts-ZIP_DEFLATED-none",
    "ansible_collections.slipway.deploy.plugins.modules.certificate_info-ZIP_DEFLATED-none",
]


def look(home: Path) -> str:
    """What Ansible says of its own doings in a run of somebody with this home, which ends well."""
    said = play(home, playbook=LOOK, ANSIBLE_DEBUG="1")
    assert "There is no certificate in /nowhere.pem" in said
    return said


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / ".ansible").glob("slipway/payloads/*/*"))


def test_a_module_is_packed_once_and_foreign_ones_in_each_run(tmp_path: Path) -> None:
    first = look(tmp_path)
    assert (first.count(PACKED), USED in first) == (3, False)
    here = contents(PLUGINS, DOCKER)
    assert [(path.parent.name, path.name) for path in kept(tmp_path)] == [(here, name) for name in NAMES]
    assert [path.stat().st_mode & 0o077 for path in kept(tmp_path)] == [0, 0]

    second = look(tmp_path)
    assert second.count(PACKED) == 1
    used = [line.partition(USED)[2].rpartition("/")[2] for line in second.splitlines() if USED in line]
    assert sorted(used) == NAMES
    assert [path.name for path in kept(tmp_path)] == NAMES


def test_what_was_packed_of_other_contents_is_not_used(tmp_path: Path) -> None:
    look(tmp_path)
    here = kept(tmp_path)[0].parent
    here.rename(here.with_name("0" * 32))
    assert look(tmp_path).count(PACKED) == 3
    assert sorted(path.parent.name for path in kept(tmp_path)) == sorted(["0" * 32, contents(PLUGINS, DOCKER)] * 2)


def test_what_others_may_write_to_is_not_used(tmp_path: Path) -> None:
    look(tmp_path)
    written = tmp_path / "written"
    kept(tmp_path)[0].write_bytes(pickle.dumps(Written(str(written))))
    kept(tmp_path)[0].parent.parent.chmod(0o777)
    assert look(tmp_path).count(PACKED) == 3
    assert not written.exists()


class Written:
    """Makes a file where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (self.path, "w")


@pytest.mark.parametrize("room", ["modules/backup.py", "module_utils/_text.py"])
def test_any_file_that_may_be_imported_counts(tmp_path: Path, room: str) -> None:
    shutil.copytree(PLUGINS, tmp_path / "plugins")
    assert contents(tmp_path / "plugins") == contents(PLUGINS)
    with (tmp_path / "plugins" / room).open("a") as source:
        source.write("\n")
    assert contents(tmp_path / "plugins") != contents(PLUGINS)


def test_what_the_other_collection_holds_counts() -> None:
    assert (DOCKER / "modules/docker_container.py").exists()
    assert len({contents(PLUGINS, DOCKER), contents(PLUGINS), contents(DOCKER, PLUGINS)}) == 3


def test_a_home_that_is_no_directory_is_done_without(tmp_path: Path) -> None:
    (tmp_path / ".ansible").mkdir()
    (tmp_path / ".ansible/slipway").write_text("")
    assert look(tmp_path).count(PACKED) == 3


@pytest.mark.parametrize("missing", ["nowhere.docker", "slipway.nothing"])
def test_a_collection_that_is_not_installed_is_done_without(missing: str) -> None:
    script = f"""
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader()
from ansible_collections.slipway.deploy.plugins.callback import payload_cache
for collections in (payload_cache.COLLECTIONS, ({missing!r}, "slipway.deploy")):
    payload_cache.COLLECTIONS = collections
    print(*(path.resolve() for path in payload_cache.plugins()))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{PLUGINS} {DOCKER.resolve()}", str(PLUGINS)]
