# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.combinations import (
    digest_problems,
    group_errors,
    image_major,
    is_local,
    problems,
    registry_problems,
    secret_file_problems,
    warnings,
)

GOOD = {"app_name": "shop", "environment_name": "test", "app_runtime": "container", "database_runtime": "container"}
ONE_HOST = {"all": ["db", "spare"], "database": ["db"], "backend": ["db"]}
BOTH = ": set both to container."
LONG = (
    "but PostgreSQL cuts names at 63 bytes, and roles and copies have up to 9 more in theirs (_readonly): set "
    "database_name to one of at most 54 bytes."
)


@pytest.mark.parametrize(
    ("image", "major"),
    [
        ("postgres:17", 17),
        ("postgres:17.2-bookworm@sha256:0123", 17),
        ("registry.example.com:5000/team/postgres:16-alpine", 16),
        ("registry.example.com:5000/team/postgres", 0),
        ("postgres", 0),
        ("postgres:latest", 0),
        ("postgres@sha256:17", 0),
    ],
)
def test_the_major_version_of_an_image(image: str, major: int) -> None:
    assert image_major(image) == major


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True), ("::1", True), ("127.0.0.1", True), ("127.1.2.3", True), ("/run/postgresql", True),
        ("db.example.com", False), ("10.0.0.127", False), ("", False), ("localhost.example.com", False),
    ],
)  # fmt: skip
def test_where_no_network_is_between(host: str, local: bool) -> None:
    assert is_local(host) is local


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, None),
        ({"app_name": "Shop"}, "Variable app_name is Shop and may hold lower-case letters, digits, - and _ only: "
                               "correct it in the inventory."),
        ({"app_name": "shop\n"}, "Variable app_name is shop\n and may hold lower-case letters, digits, - and _ only: "
                                 "correct it in the inventory."),
        ({"environment_name": "1st"}, "Variable environment_name is 1st and may hold lower-case letters, digits, - and "
                                      "_ only: correct it in the inventory."),
        ({"app_name": "a" * 54}, None),
        ({"app_name": "a" * 55}, f"The database would be called {'a' * 55}, {LONG}"),
        ({"app_name": "a" * 55, "database_name": "shop"}, None),
        ({"database_name": "é" * 28}, f"The database would be called {'é' * 28}, {LONG}"),
        ({"app_hooks": {"before_migrate": ["./check", "--all"], "on_failure": [["one"], ["two", "2"]]}}, None),
        ({"app_hooks": {"before_deploy": ["./check"]}},
         "app_hooks has before_deploy, which is no hook: use before_migrate, after_migrate, before_release, "
         "after_release or on_failure."),
        *(({"app_hooks": {"after_release": wrong}},
           f"The hook after_release of app_hooks is {wrong!r} and must be a command as a list of words, such as "
           "[python, manage.py, check], or a list of such lists: correct it in the inventory.")
          for wrong in ("./check --all", [], [["one"], "two"], [[]], [1])),
        ({"backup_offsite": "/nas"}, None),
        ({"backup_proof_host": "spare"}, None),
        ({"backup_proof_host": ""}, None),
        ({"backup_proof_host": "spear"},
         "backup_proof_host is spear, which is no host of the inventory: add it to hosts.yml, outside of the group "
         "database, or correct the name."),
        ({"backup_proof_host": "db"},
         "backup_proof_host is db, which is the database's own host: name another one, or set backup_proof_server to "
         "own in its place."),
        ({"backup_schedule": "daily"}, None),
        ({"backup_offsite": "/nas", "backup_offsite_password": "x", "environment_name": "prod"}, None),
        ({"backup_offsite": "/nas", "environment_name": "prod"},
         "backup_offsite is set but backup_offsite_password is not, without which nobody reads the backups there: set "
         "it in vault.yml, and keep it in another place too."),
        ({"database_image": "postgres:17"}, None),
        ({"database_image": "postgres:latest"}, "database_image postgres:latest does not show its major version: set "
                                                "database_version, such as 17."),
        ({"database_image": "postgres:latest", "database_version": 17}, None),
        ({"database_image": "postgres:latest", "database_runtime": "external"}, None),
        ({"database_runtime": "embedded"}, "app_runtime is container but database_runtime is embedded, whose socket a "
                                           "container does not see" + BOTH),
        ({"app_runtime": "process"}, "app_runtime is process but database_runtime is container, whose network a "
                                     "process is not on" + BOTH),
        ({"app_runtime": "process", "database_runtime": "embedded"}, None),
        ({"monitoring": True}, None),
        ({"monitoring": True, "database_runtime": "external"}, None),
        ({"monitoring": "no", "app_runtime": "process", "database_runtime": "embedded"}, None),
        ({"monitoring": "yes", "app_runtime": "process", "database_runtime": "embedded"},
         "monitoring is true but database_runtime is embedded, which runs without root and systemd, whose service the "
         "exporter would be: set monitoring to false, or database_runtime to container or external."),
        ({"delete_data": True}, None),
        ({"delete_data": "false", "database_runtime": "external"}, None),
        ({"delete_data": True, "database_runtime": "external"},
         "delete_data is true but database_runtime is external: Slipway deletes no database on a server of somebody "
         "else; drop it there."),
    ],
)  # fmt: skip
def test_problems(given: dict[str, Any], problem: str | None) -> None:
    assert problems({**GOOD, **given}, ONE_HOST) == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("given", "backend", "told"),
    [
        ({}, ["db", "app"], 1),
        ({}, ["app"], 1),
        ({}, [], 0),
        ({"database_runtime": "external"}, ["app"], 0),
    ],
)
def test_a_container_of_the_database_serves_its_own_host(given: dict[str, Any], backend: list[str], told: int) -> None:
    sentence = (
        "The backend is on another host than the database, whose container publishes no port: set database_address to "
        "the database host's IP address in the network that the hosts share, or put both on one host."
    )
    assert problems({**GOOD, **given}, {"database": ["db"], "backend": backend}) == [sentence] * told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"database_address": "10.0.0.5"}, ""),
        ({"database_address": "fd00::5"}, ""),
        ({"database_address": "db.lan"}, "which is no IP address"),
        ({"database_address": "0.0.0.0"}, "which is every network of the host"),
        ({"database_address": "127.0.0.1"}, "which no other host reaches"),
        ({"database_address": "10.0.0.5", "database_runtime": "external"}, "but database_runtime is external"),
    ],
)
def test_the_address_of_a_database_for_other_hosts(given: dict[str, Any], told: str) -> None:
    found = problems({**GOOD, **given}, {"database": ["db"], "backend": ["app"]})
    assert (len(found), told in "".join(found)) == (bool(told), True)


def test_what_is_not_set_is_no_contradiction() -> None:
    assert problems({}, {}) == warnings({}) == []


REMOTE = {"environment_name": "prod", "database_runtime": "external", "database_host": "db.example.com"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, False),
        ({"database_ssl_mode": "prefer"}, True),
        ({"database_ssl_mode": "disable"}, True),
        ({"database_ssl_mode": "verify-full"}, False),
        ({"database_ssl_mode": "prefer", "environment_name": "test"}, False),
        ({"database_ssl_mode": "prefer", "database_host": "127.0.0.1"}, False),
        ({"database_ssl_mode": "prefer", "database_runtime": "container"}, False),
    ],
)
def test_production_is_warned_of_clear_text(given: dict[str, Any], told: bool) -> None:
    sentence = (
        f"database_ssl_mode is {given.get('database_ssl_mode')}, so that passwords and rows may cross the network in "
        "clear: set database_ca_cert, and leave it at verify-full."
    )
    assert warnings({**REMOTE, **given}) == ([sentence] if told else [])


NO_BACKEND = "The inventory's group backend has no host: add one in hosts.yml."


@pytest.mark.parametrize(
    ("groups", "errors"),
    [
        ({"database": ["a"], "backend": ["a", "b"]}, []),
        ({"database": ["a"], "backend": []}, [NO_BACKEND]),
        ({"database": ["a"]}, [NO_BACKEND]),
        (
            {"database": ["a", "b"], "backend": ["a"]},
            ["The inventory's group database has 2 hosts and needs exactly one: correct hosts.yml."],
        ),
        (
            {},
            ["The inventory's group database has 0 hosts and needs exactly one: correct hosts.yml.", NO_BACKEND],
        ),
    ],
)
def test_group_errors(groups: dict[str, list[str]], errors: list[str]) -> None:
    assert group_errors(groups) == errors


DIGEST = f"sha256:{'0123456789abcdef' * 4}"
IMAGES = {"database_image": {"default": "postgres:17"}, "frontend_base_image": {"default": "nginx:1.28"}}
PROD = {**GOOD, "environment_name": "prod"}
PINNED = {"database_image": f"postgres:17@{DIGEST}", "frontend_base_image": f"registry.example.com:5000/nginx@{DIGEST}"}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (GOOD, []),
        (PROD, ["database_image is postgres:17", "frontend_base_image is nginx:1.28"]),
        ({**PROD, **PINNED}, []),
        ({**PROD, **PINNED, "database_image": DIGEST}, []),  # the ID of one that was built on the host
        ({**PROD, **PINNED, "database_image": "postgres@sha256:0123"}, ["database_image is postgres@sha256:0123"]),
        ({**PROD, "database_runtime": "external"}, ["frontend_base_image is nginx:1.28"]),
        ({**PROD, "app_runtime": "process", "database_runtime": "embedded"}, []),
        ({**PROD, "image_digests": "optional"}, []),
        ({**GOOD, **PINNED, "image_digests": "required", "database_image": "pg:17"}, ["database_image is pg:17"]),
    ],
)  # fmt: skip
def test_in_prod_an_image_is_named_by_its_digest(values: dict[str, Any], named: list[str]) -> None:
    found = digest_problems(values, IMAGES)
    assert [said.split(",")[0] for said in found] == named
    assert all(said.endswith("@sha256:…), or set image_digests to optional.") for said in found)


@pytest.mark.parametrize(
    ("registries", "said"),
    [
        ({}, []),
        ({"ghcr.io": {"username": "bot", "password": "hidden"}, "docker.io": {"username": "a", "password": "b"}}, []),
        ({"ghcr.io": {"username": "bot"}}, ["does not say who pulls from ghcr.io: give it a username and a password."]),
        ({"ghcr.io": "bot:hidden"}, ["does not say who pulls from ghcr.io: give it a username and a password."]),
        (
            {"https://ghcr.io": {"username": "bot", "password": "hidden"}},
            ["has https://ghcr.io, which is no registry's name: write its host alone, such as ghcr.io or"],
        ),
    ],
)
def test_who_pulls_from_a_registry(registries: dict[str, Any], said: list[str]) -> None:
    found = registry_problems(registries)
    assert len(found) == len(said)
    assert all(text in each and "hidden" not in each for text, each in zip(said, found, strict=True))
    assert set(found) <= set(problems({**GOOD, "app_registries": registries}, ONE_HOST))


@pytest.mark.parametrize(
    ("names", "environment", "said"),
    [
        ([], None, []),
        (["DATABASE_URL"], None, []),
        (["DATABASE_URL", "KEY"], {"DATABASE_URL": "u", "KEY": "k"}, []),
        (["KEY"], None, ["app_secrets_as_files has KEY, which app_env does not set: use DATABASE_URL."]),
        (["URL"], {}, ["app_secrets_as_files has URL, which app_env does not set: use none."]),
        (
            ["KEY"],
            {"KEY": "hidden", "KEY_FILE": "/key"},
            ["app_secrets_as_files has KEY, but app_env sets KEY_FILE too: leave one of them out."],
        ),
    ],
)
def test_what_is_a_file_is_in_the_environment(names: list[str], environment: Any, said: list[str]) -> None:
    assert secret_file_problems(names, environment) == said
    values = {**GOOD, "app_secrets_as_files": names, **({} if environment is None else {"app_env": environment})}
    assert set(said) <= set(problems(values, ONE_HOST))
