# SPDX-License-Identifier: GPL-3.0-or-later
"""How the operator's terminal reaches a host."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from ansible import context
from ansible.plugins.loader import init_plugin_loader
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.ssh import is_local, ssh_command

HOST = {"inventory_hostname": "web", "ansible_host": "192.0.2.7"}


@pytest.fixture(autouse=True, scope="module")
def loader() -> None:
    init_plugin_loader()


def test_the_controller_itself_runs_the_command_alone() -> None:
    assert ssh_command({"ansible_connection": "local"}, ["docker", "ps"], tty=True) == ["docker", "ps"]


def test_the_command_line_says_how_a_host_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "CLIARGS", {"connection": "local"})
    assert ssh_command({"inventory_hostname": "localhost"}, ["id"]) == ["id"]


def test_on_the_controller_it_may_be_another_user_too() -> None:
    variables = {"ansible_connection": "local", "ansible_become": True}
    assert ssh_command(variables, ["docker", "ps"]) == ["sudo", "--user=root", "--", "docker", "ps"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, []),
        ({"ansible_port": 2222}, ["-o", "Port=2222"]),
        ({"ansible_user": "deploy"}, ["-o", "User=deploy"]),
        ({"ansible_ssh_private_key_file": "/k/id"}, ["-o", "IdentityFile=/k/id"]),
        ({"ansible_ssh_common_args": "-J 'jump host'"}, ["-J", "jump host"]),
        ({"ansible_ssh_extra_args": "-v"}, ["-v"]),
        ({"ansible_ssh_args": "-C"}, ["-C"]),
        ({"ansible_host_key_checking": False}, ["-o", "StrictHostKeyChecking=no"]),
    ],
)
def test_what_ansible_is_told_of_the_connection_counts(more: dict[str, Any], expected: list[str]) -> None:
    command = ssh_command({**HOST, **more}, ["id"])
    assert command[0] == "ssh"
    assert command[-2:] == ["192.0.2.7", "id"]
    assert expected == [word for word in expected if word in command]
    joined = "\0".join(command)
    assert "\0".join(expected) in joined


def test_a_terminal_is_asked_for_if_there_is_one_here() -> None:
    assert ssh_command(HOST, ["id"], tty=True)[-3:] == ["-t", "192.0.2.7", "id"]
    assert "-tt" not in ssh_command(HOST, ["id"], tty=True)
    assert "-t" not in ssh_command(HOST, ["id"])


def test_the_shell_of_the_host_gets_the_words_as_they_are() -> None:
    argv = ["printf", "%s|", "a b", "it's", "$HOME", ""]
    sent = ssh_command(HOST, argv)[-1]
    said = subprocess.run(["sh", "-c", sent], capture_output=True, text=True, check=True).stdout
    assert said == "a b|it's|$HOME||"


def test_tasks_that_become_another_user_do_so_by_sudo() -> None:
    assert ssh_command({**HOST, "ansible_become": "true"}, ["id"])[-1] == "sudo --user=root -- id"
    assert ssh_command({**HOST, "ansible_become": True, "ansible_become_user": "app"}, ["id"])[-1].startswith(
        "sudo --user=app "
    )
    with pytest.raises(SlipwayError, match="Host web has ansible_become_method 'su': a command on a terminal knows"):
        ssh_command({**HOST, "ansible_become": True, "ansible_become_method": "su"}, ["id"])


def test_a_tunnel_needs_no_command() -> None:
    command = ssh_command(HOST, [], options=["-N", "-L", "127.0.0.1:1:127.0.0.1:2"])
    assert command[-4:] == ["-N", "-L", "127.0.0.1:1:127.0.0.1:2", "192.0.2.7"]


def test_another_connection_is_refused() -> None:
    with pytest.raises(
        SlipwayError,
        match=r"Host web is reached by the connection 'community\.docker\.docker', which gives a command no",
    ):
        is_local({**HOST, "ansible_connection": "community.docker.docker"})
