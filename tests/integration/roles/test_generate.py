# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application's own command makes from the schema is a change when the source is another one afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
from support.release import ansible

HERE = Path(__file__).parent
WRITE = "printf '%s' \"$WORD\" >generated; mkdir -p .git && date +%N >.git/noise"
PRISMA = """\
generator client {
  provider   = "prisma-client"
  output     = "./generated"
  engineType = "client"
}
datasource db {
  provider = "postgresql"
  url      = env("DATABASE_URL")
}
model Order {
  id   BigInt  @id
  note String?
}
"""


def generate(
    source: Path, *command: str, flags: tuple[str, ...] = (), **more: object
) -> subprocess.CompletedProcess[str]:
    variables = source.parent / "variables.json"
    said = {"generate_command": command, "generate_directory": str(source), "generate_env": {"WORD": "hello"}, **more}
    variables.write_text(json.dumps(said))
    home = ["ansible-playbook", "-i", "localhost,", "-c", "local", *flags, "-e", f"@{variables}"]
    return ansible(source.parent, *home, str(HERE / "generate.yml"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    found = tmp_path / "source"
    found.mkdir()
    (found / "main.py").write_text("import generated\n")
    return found


@pytest.mark.once
def test_a_process(source: Path) -> None:
    would = generate(source, "sh", "-c", WRITE, flags=("--check",))
    assert "changed=0" in would.stdout
    assert "would run in" in would.stdout
    assert [file.name for file in source.iterdir()] == ["main.py"]

    first = generate(source, "sh", "-c", WRITE)
    assert "changed=1" in first.stdout, first.stdout
    assert (source / "generated").read_text() == "hello"
    assert "changed=0" in generate(source, "sh", "-c", WRITE).stdout


@pytest.mark.once
def test_a_command_that_fails(source: Path) -> None:
    failed = generate(source, "sh", "-c", "echo no such model: $WORD >&2; exit 3")
    assert failed.returncode
    said = " ".join(failed.stdout.split())
    assert "The command of app_generate_command sh -c" in said
    assert "ended with 3; correct what the end of its output shows, and run again: no such model" in said
    assert "can't be started" in generate(source, "/no/such/program").stdout


@pytest.mark.once
def test_the_client_of_prisma(source: Path, prisma_directory: Path) -> None:
    (source / "schema.prisma").write_text(PRISMA)
    (source / "node_modules").symlink_to(prisma_directory / "node_modules")
    (source / "package.json").write_text("{}")
    engine = {
        "PRISMA_SCHEMA_ENGINE_BINARY": "/bin/true",
        "PRISMA_QUERY_ENGINE_LIBRARY": "/bin/true",
        "CHECKPOINT_DISABLE": "1",
    }
    command = ("npx", "prisma", "generate", "--schema", "schema.prisma")
    first = generate(source, *command, generate_env=engine)
    assert "changed=1" in first.stdout, first.stdout
    assert "Order" in (source / "generated" / "client.ts").read_text()
    assert "changed=0" in generate(source, *command, generate_env=engine).stdout
    (source / "schema.prisma").write_text(PRISMA.replace("BigInt", "BigEnough"))
    assert "BigEnough" in generate(source, *command, generate_env=engine).stdout  # Prisma's own message


@pytest.mark.container
def test_a_container_has_the_source_and_writes_as_the_user(source: Path) -> None:
    image = os.environ.get("SLIPWAY_PYTHON_IMAGE", "python:3-slim")
    given = {"generate_image": image, "generate_label": f"test-{uuid.uuid4().hex[:8]}"}
    first = generate(source, "sh", "-c", WRITE, **given)
    assert "changed=1" in first.stdout, first.stdout
    assert (source / "generated").read_text() == "hello"
    assert (source / "generated").stat().st_uid == os.getuid()
    assert "changed=0" in generate(source, "sh", "-c", WRITE, **given).stdout
    assert shutil.which("docker")
    left = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", f"label=slipway.command={given['generate_label']}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert left.stdout == ""
