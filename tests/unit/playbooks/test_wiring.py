# SPDX-License-Identifier: GPL-3.0-or-later
"""Every knob of a role is derived from an operator's variable of one name, with the role's own default."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import psycopg2.extensions
import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROOT = Path(__file__).parents[3]
HERE = ROOT / "playbooks" / "group_vars" / "all"
FILE = HERE / "wiring.yml"
OPERATOR: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "operator_variables.yml").read_text())[
    "preflight_variables"
]
WIRING: dict[str, Any] = {}
for path in HERE.glob("*.yml"):
    WIRING |= yaml.safe_load(path.read_text())
# What a play gives to a role, or only another caller of the role than Slipway's playbooks.
OF_THE_PLAY = {
    "backup_container_socket_dir", "backup_needed", "backup_scratch_db", "backup_verify", "deployment_verb",
    "migrations_schema", "phase_batches", "phase_when", "preflight_deed", "seed_insist", "verify_schema",
}  # fmt: skip
# These have another default for the application than for the role by itself.
OWN_DEFAULT = {"app_ready_path", "app_stop_timeout"}

spec = importlib.util.spec_from_file_location("make_variables", ROOT / "docs" / "make_variables.py")
assert spec is not None
assert spec.loader is not None
make_variables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_variables)


ROLES: dict[str, dict[str, Any]] = {
    name: {**option}
    for role in (ROOT / "roles").iterdir()
    for name, option in make_variables.options(role.name).items()
}


def test_every_variable_of_a_role_is_wired_or_an_operators_own() -> None:
    """A new one gets a line in the wiring, and in preflight_variables where an operator may want to set it."""
    assert sorted(ROLES.keys() - WIRING.keys() - OPERATOR.keys() - OF_THE_PLAY) == []


def test_no_operators_variable_is_defined_by_the_wiring() -> None:
    assert sorted(OPERATOR.keys() & WIRING.keys()) == []


@pytest.mark.parametrize(("name", "option"), OPERATOR.items(), ids=OPERATOR.keys())
def test_an_operators_variable_is_described_and_has_the_roles_type(name: str, option: dict[str, Any]) -> None:
    assert make_variables.described(option)
    if "role" in option:
        of_role = ROLES[option["role"]]
        assert {option.get("type", "str"), of_role.get("type", "str")} in ({option.get("type", "str")}, {"path", "str"})
        if name not in OWN_DEFAULT and "default" in of_role and "{{" not in str(of_role["default"]):
            assert option["default"] in (of_role["default"], "see the role frontend")


def test_the_wirings_defaults_are_those_that_are_told() -> None:
    """``{{ app_memory | default('512M') }}``: the literal is the one in preflight_variables."""
    text = FILE.read_text()
    for name, option in OPERATOR.items():
        told = option.get("default")
        for literal in re.findall(rf"(?<![\w.]){name} \| default\(('[^']*'|[\d.]+|true|false|\[\]|{{}})[,)]", text):
            value = yaml.safe_load(literal)
            # Where a sentence tells of the default there are several of them, or one that is computed.
            assert value in (told, "x") or not (value or told) or (isinstance(told, str) and " " in told), name


def test_nothing_optional_is_used_without_a_default() -> None:
    """A variable that need not be set always goes with ``default`` or ``is defined``, here and in the playbooks."""
    optional = {name for name, option in OPERATOR.items() if option.get("required") is not True}
    conditional = {name for name, option in OPERATOR.items() if isinstance(option.get("required"), list)}
    text = FILE.read_text() + (HERE / "phases.yml").read_text()
    text = re.sub(r"'[^'\n]*'", "''", text)
    texts = [text, *(file.read_text() for file in (ROOT / "playbooks").glob("*.yml"))]
    expressions = [
        re.sub(r"'[^'\n]*'", "''", found) for each in texts for found in re.findall(r"\{\{(.*?)\}\}", each, re.DOTALL)
    ]
    bare = {
        name
        for expression in expressions
        for name in optional - conditional
        for _ in re.finditer(rf"(?<![\w.'-]){name}(?![\w'=]|:| \| default\(| is defined| is not defined)", expression)
        if f"{name} is defined" not in expression and f"{name} | default(" not in expression
    }
    assert bare == set()


def test_the_page_of_the_variables_is_current() -> None:
    assert make_variables.PAGE.read_text() == make_variables.page(), "run `make docs`"


@pytest.mark.parametrize("role", sorted(path.name for path in (ROOT / "roles").iterdir()))
def test_a_roles_readme_lists_all_its_variables(role: str) -> None:
    text = (ROOT / "roles" / role / "README.md").read_text()
    assert text == make_variables.readme(role), "run `make docs`"
    listed = re.findall(r"^\| `(\w+)` \|", text.partition(make_variables.LIST)[2], re.MULTILINE)
    assert listed == list(make_variables.options(role))


CA = "/etc/ssl/db ca.pem"
THERE = "/etc/slipway/database-ca.crt"
SERVER = {"database_runtime": "external", "database_host": "db.example.com"}


def test_a_server_that_is_reached_by_its_socket() -> None:
    loader = DataLoader()
    variables = {
        **loader.load_from_file(str(FILE), trusted_as_template=True),
        "app_name": "shop", "environment_name": "test", "app_runtime": "process", "app_source": "/shop",
        "database_application_password": "p", **SERVER, "database_host": "/run/a server", "database_port": 5433,
    }  # fmt: skip
    url = psycopg2.extensions.parse_dsn(Templar(loader=loader, variables=variables).template(variables["database_url"]))
    assert (url["host"], url["port"], url["dbname"], url.get("sslmode")) == ("/run/a server", "5433", "shop", None)


@pytest.mark.parametrize("runtime", ["container", "process"])
@pytest.mark.parametrize(
    ("given", "mode", "file"),
    [
        (SERVER, "require", False),
        ({**SERVER, "database_ca_cert": CA}, "verify-full", True),
        ({**SERVER, "database_ca_cert": THERE}, "verify-full", True),
        ({**SERVER, "database_ca_cert": CA, "database_ssl_mode": "verify-ca"}, "verify-ca", True),
        ({**SERVER, "database_ssl_mode": "verify-full"}, "verify-full", False),
        ({**SERVER, "database_ssl_mode": "disable"}, "disable", False),
        ({**SERVER, "database_ssl_mode": "prefer"}, "prefer", False),
        ({**SERVER, "database_host": "127.0.0.1"}, None, False),
        (
            {**SERVER, "database_host": "localhost", "database_ca_cert": CA, "database_ssl_mode": "verify-full"},
            "verify-full",
            True,
        ),
        ({"database_runtime": "container", "database_ca_cert": CA}, None, False),
        ({"database_runtime": "embedded", "database_ca_cert": CA}, None, False),
    ],
)
def test_tls_of_the_application(runtime: str, given: dict[str, str], mode: str | None, file: bool) -> None:
    """What Slipway asks of a server, its URL asks of it too, with a file that is there where the application runs."""
    loader = DataLoader()
    variables = {
        **loader.load_from_file(str(FILE), trusted_as_template=True),
        "app_name": "shop", "environment_name": "test", "app_runtime": runtime, "app_source": "/shop",
        "database_application_password": "p/w", "app_volumes": ["/files:/files"], **given,
        "groups": {"backend": ["web"]}, "hostvars": {"web": {"app_mounts": ["/of:/web"]}},
    }  # fmt: skip
    found = Templar(loader=loader, variables=variables)

    def value(name: str) -> Any:
        return found.template(variables[name])

    url = psycopg2.extensions.parse_dsn(value("database_url"))
    here = given.get("database_ca_cert", "")
    seen = {"container": THERE, "process": here}[runtime] if file else None
    assert (url["password"], url.get("sslmode"), url.get("sslrootcert")) == ("p/w", mode, seen)
    assert value("app_environment")["DATABASE_URL"] == value("database_url")
    if mode:
        assert value("database_tls") == mode
    mounts = [f"{here}:{THERE}:ro"] if file and runtime == "container" else []
    assert value("backend_volumes") == ["/files:/files", *mounts]
    assert value("seed_volumes") == value("hooks_volumes") == ["/of:/web"]  # where they run
    assert value("preflight_files") == ({"database_ca_cert": here} if file else {})


@pytest.mark.parametrize(
    ("address", "authority"),
    [("10.0.0.5", "10.0.0.5:5433"), ("fd00::5", "[fd00::5]:5433"), ("", "shop-test-postgres:5432")],
)
def test_a_database_on_a_host_of_its_own(address: str, authority: str) -> None:
    loader = DataLoader()
    variables = {
        **loader.load_from_file(str(FILE), trusted_as_template=True),
        "app_name": "shop", "environment_name": "test", "app_runtime": "container", "state_dir": "/state",
        "database_runtime": "container", "database_address": address, "database_port": 5433,
        "database_application_password": "p/w", "inventory_hostname": "web",
        "app_processes": {"tidy": {"schedule": "daily"}},
        "groups": {"database": ["db"], "backend": ["web", "other", "db"]},
        "hostvars": {"web": {"ansible_host": "10.0.0.7"}, "other": {}, "db": {"ansible_host": "10.0.0.5"}},
    }  # fmt: skip
    found = Templar(loader=loader, variables=variables)

    def value(name: str) -> Any:
        return found.template(variables[name])

    assert f"@{authority}/" in value("database_url")
    assert (
        "?sslmode=verify-full&sslrootcert=/etc/slipway/database/authority.pem"
        in value("database_url").replace("%2F", "/")
    ) == bool(address)
    assert value("backend_volumes") == (["/state/database:/etc/slipway/database:ro"] if address else [])
    assert (value("postgres_address"), value("postgres_port")) == (address, 5432)
    assert value("postgres_clients") == ["", "10.0.0.7"]  # always in the same order: by the hosts' names
    login = value("workers_login")
    where = (login["login_host"], login["login_port"], login["ssl_mode"], login["login_unix_socket"])
    assert where == ((address, 5433, "verify-full", "") if address else ("", 5432, "prefer", "/state/run"))
    assert login["login_user"] == "shop_app"


@pytest.mark.parametrize(
    ("given", "begins"),
    [
        ({}, ""),
        ({"deployment_current": ""}, "No release of shop-test serves, "),
        ({"app_release": "def"}, "Release abc serves and the files here are another, def: check out its revision "),
        ({"database_application_user": "shop_app_b"}, ""),
        ({"database_application_user": "shop"}, "database_application_user is shop and must be one of shop_app and "),
        ({"new_secrets": "app_key, database_owner"}, "new_secrets names database_owner, no secret of the application "),
        ({"new_secrets": "app_key"}, "new_secrets is for what Slipway generates, and the inventory gives database_app"),
        ({"app_env": {"PASSWORD": "p/w"}}, ""),
        ({"app_env": {"DATABASE_URL_FILE": "/run/url"}}, "Nothing in app_env holds the password that the application"),
    ],
)
def test_when_no_password_is_rotated(given: dict[str, Any], begins: str) -> None:
    loader = DataLoader()
    variables = {
        **loader.load_from_file(str(FILE), trusted_as_template=True),
        "app_name": "shop", "environment_name": "test", "database_application_password": "p/w",
        "app_runtime": "container", "database_runtime": "container", "app_release": "abc",
        "deployment_current": "abc", **given,
    }  # fmt: skip
    refused = Templar(loader=loader, variables=variables).template(variables["postgres_rotate_refused"])
    assert refused.startswith(begins)
    assert bool(refused) == bool(begins)


@pytest.mark.parametrize(
    ("given", "wanted", "unwanted"),
    [
        ({}, False, False),
        ({"preflight_result": {"host": {"found": ["exporter"]}}}, False, False),
        ({"preflight_result": {"host": {"found": ["monitoring"]}}}, False, True),
        ({"preflight_result": {"host": {"found": ["monitoring"]}}, "postgres_reachable": False}, False, False),
        ({"preflight_result": {"host": {"found": ["monitoring"]}}, "monitoring": "yes"}, True, False),
        ({"monitoring": True}, True, False),
        ({"monitoring": "false"}, False, False),
    ],
)
def test_when_the_exporter_runs_and_when_it_goes(given: dict[str, Any], wanted: bool, unwanted: bool) -> None:
    """Without it, and without one of before, no phase of it is due."""
    loader = DataLoader()
    variables = {**loader.load_from_file(str(FILE), trusted_as_template=True), **given}
    found = Templar(loader=loader, variables=variables)
    told = [found.template(variables[name]) for name in ("monitoring_wanted", "monitoring_unwanted")]
    assert told == [wanted, unwanted]


OWN = {"offsite": "/nas", "offsite_password": "own", "offsite_env": {"A": "1"}, "offsite_options": {}}
THEIRS = {"offsite": "s3:x", "offsite_password": "theirs", "offsite_env": {}, "offsite_options": {"b": 2}}


@pytest.mark.parametrize(
    ("more", "source"),
    [
        ({}, OWN),
        ({"from_offsite": "s3:x", "from_offsite_password": "theirs", "from_offsite_options": {"b": 2}}, THEIRS),
    ],
)
def test_the_repository_that_a_backup_is_taken_from(more: dict[str, object], source: dict[str, object]) -> None:
    """Another one is only read: what this run takes itself goes to its own."""
    loader = DataLoader()
    files = (ROOT / "roles/backup/defaults/main.yml", ROOT / "roles/backup/vars/main.yml", FILE)
    variables = {
        name: value
        for file in files
        for name, value in loader.load_from_file(str(file), trusted_as_template=True).items()
    }
    own = {"backup_offsite": "/nas", "backup_offsite_password": "own", "backup_offsite_env": {"A": "1"}}
    templar = Templar(loader=loader, variables={**variables, **own, **more})
    assert templar.template(variables["__backup_source"]) == source
    taken = {name: templar.template(variables["__backup_options"][name]) for name in OWN}
    assert taken == OWN
