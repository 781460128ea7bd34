# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._release.command import (
    Container,
    by_name,
    environment_file,
)


def test_the_environment_file_holds_what_fits_on_a_line() -> None:
    environment = {"A": "1", "KEY": "one\ntwo", "LONG": "x" * 70_000, "Z": "a=b #"}
    assert environment_file(environment) == "A=1\nZ=a=b #\n"
    assert sorted(by_name(environment)) == ["KEY", "LONG"]
    command = Container("shop:1", "net", "shop-test", "1G", 9).command(["seed", "--all"], environment)
    assert command[-5:] == ["--env=KEY", "--env=LONG", "shop:1", "seed", "--all"]
    assert command[:6] == ["run", "--rm", "--init", "--name", "shop-test", "--label"]
    mounted = Container("shop:1", "net", "shop-test", "1G", 9, ["/ca:/etc/ca:ro"]).command(["seed"], environment)
    assert set(mounted) - set(command) == {"--volume=/ca:/etc/ca:ro"}
    free = Container("shop:1", "net", "shop-test", "1G", 9, read_only=False).command(["seed"], environment)
    assert set(command) - set(free) == {"--read-only", "--tmpfs=/tmp", "--all"}
