# SPDX-License-Identifier: GPL-3.0-or-later
"""An application in another language and in a repository of its own, deployed by the installed collection."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import psycopg2
import pytest
from e2e.conftest import directory
from support.environment import LONGEST_RUN, ROOT, Outcome, free_port

BIN = Path(sys.executable).parent
# All that the operator writes; docs/application.md shows the same lines.
INVENTORY = """\
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    environment_name: local
    app_name: shop
    app_runtime: process
    app_source: "{{ inventory_dir }}"
    app_command: [node, server.js]
    app_seed_command: [node, seed.js]
    database_runtime: embedded
  children: {database: {hosts: {here: {}}}, backend: {hosts: {here: {}}}}
"""
SERVER = """\
const http = require('http');
const url = new URL(process.env.DATABASE_URL);
const socket = url.searchParams.get('host');
const generated = require('./generated.js');
const about = {generated, directory: process.cwd(), database: process.env.DATABASE_URL, host: url.hostname, socket};
const server = http.createServer((request, response) => response.end(JSON.stringify(about)));
server.listen(process.env.PORT, process.env.HOST);
"""
# What the server can't start without, from the names of the migrations.
GENERATE = """\
const fs = require('fs');
fs.writeFileSync('generated.js', `module.exports = ${JSON.stringify(fs.readdirSync('migrations').sort())};\\n`);
"""
GENERATING = {"app_generate_command": ["node", "generate.js"], "app_generate_before_release": True}
SEED = "require('fs').writeFileSync('../seeded-in', process.cwd());\n"  # outside of what is deployed


class Repository:
    """A user's own repository, with the collection installed beside it."""

    def __init__(self, home: Path) -> None:
        self.home = home / "shop"
        self.collections = home / "collections"
        self.port = free_port()
        migration = self.home / "migrations" / "20260101000000_init" / "migration.sql"
        migration.parent.mkdir(parents=True)
        migration.write_text("CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);\n")
        (self.home / "server.js").write_text(SERVER)
        (self.home / "seed.js").write_text(SEED)
        (self.home / "generate.js").write_text(GENERATE)
        (self.home / "inventory.yml").write_text(INVENTORY)
        (self.home / "ansible.cfg").write_text("[defaults]\nstdout_callback = slipway.deploy.story\n")
        galaxy = [str(BIN / "ansible-galaxy"), "collection"]
        for arguments in (  # elsewhere than in the checkout, where the collection is installed already
            ["build", "--output-path", str(home), str(ROOT)],
            ["install", "--offline", "--no-deps", "-p", str(self.collections), "slipway-deploy-0.1.0.tar.gz"],
        ):
            subprocess.run([*galaxy, *arguments], cwd=home, check=True, capture_output=True)

    def play(self, verb: str, *flags: str) -> Outcome:
        program = [str(BIN / "ansible-playbook"), f"slipway.deploy.{verb}"]
        done = subprocess.run(
            [*program, "-i", "inventory.yml", "-e", f"app_port={self.port}", "-e", json.dumps(GENERATING), *flags],
            cwd=self.home,
            env={
                "PATH": os.environ["PATH"], "HOME": str(self.home.parent), "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            },
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST_RUN, check=False,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout)

    def about(self) -> dict[str, Any]:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"http://127.0.0.1:{self.port}/", timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture
def repository() -> Iterator[Repository]:
    home = directory()
    made = Repository(home)
    yield made
    made.play("teardown").succeeded()
    shutil.rmtree(home)


def test_a_dozen_lines_of_inventory_deploy_an_application_of_ones_own(repository: Repository) -> None:
    assert len(INVENTORY.splitlines()) <= 12
    assert INVENTORY in (ROOT / "docs" / "application.md").read_text().replace("\n    ", "\n")
    repository.play("deploy").succeeded()

    assert repository.about()["generated"] == ["20260101000000_init"]
    about = repository.about()
    assert about["directory"] == str(repository.home) == (repository.home.parent / "seeded-in").read_text()
    assert (about["host"], about["socket"]) == ("localhost", str(repository.home / ".slipway" / "local" / "run"))
    for client in (psycopg, psycopg2):
        with contextlib.closing(client.connect(about["database"])) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM orders")
            assert cursor.fetchone() == (0,)

    models = repository.home / "models.py"
    generate = ("generate", "-e", f"app_models={models}")
    assert f"{models} is not as the schema of shop-local is" in repository.play(*generate, "--check").failed().output
    assert repository.play(*generate).succeeded().recap["changed"] == 1
    assert repository.play(*generate, "--check").succeeded().recap["changed"] == 0
    assert "class Orders(Base):" in models.read_text()
    models.unlink()

    again = repository.play("deploy").succeeded()
    assert again.recap["changed"] == 0, again.output
    subprocess.run(["git", "init", "-q", repository.home], check=True)
    status = ["git", "-C", str(repository.home), "status", "--porcelain", "--untracked-files=all"]
    assert ".slipway" not in subprocess.run(status, capture_output=True, text=True, check=True).stdout
