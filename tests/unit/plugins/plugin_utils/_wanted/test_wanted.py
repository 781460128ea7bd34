# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the wanted schema is read, and what is said where it can't be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._wanted import wanted


@pytest.mark.parametrize(
    ("files", "source", "expected"),
    [
        ([], {"sql": "a.sql"}, ("sql", "a.sql")),
        (["schema.sql"], {"sqlalchemy": "m:B", "python": "p"}, ("sqlalchemy", "m:B")),
        (["schema.sql"], {"python": "p"}, ("sql", "schema.sql")),
        (["schema.sql", "prisma/schema.prisma"], {}, ("prisma", "prisma/schema.prisma")),
        (["schema.sql", "schema.prisma"], {}, ("prisma", "schema.prisma")),
    ],
)
def test_the_source(tmp_path: Path, files: list[str], source: dict[str, str], expected: tuple[str, str]) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert wanted.choose(source, str(tmp_path)) == expected


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            {},
            "Where the wanted schema is described is not known: {home} has none of prisma/schema.prisma, "
            "schema.prisma, ",
        ),
        (
            {"sql": "a", "prisma": "b"},
            "The wanted schema has 2 sources, sql and prisma: name it as one of {{sql: FILE}}, ",
        ),
        (
            {"sql": "none.sql"},
            "The wanted schema can't be read (No such file or directory: '{home}/none.sql'): correct",
        ),
        ({"sql": "bad.sql"}, "The wanted schema can't be read: bad.sql:1:8: syntax error"),
        ({"prisma": "bad.sql"}, "Prisma is not installed in the project of {home}/bad.sql: run npm install there"),
        ({"sqlalchemy": "models"}, "The models 'models' are not MODULE:ATTRIBUTE: name them such as shop.models:Base."),
        (
            {"sqlalchemy": "m:B", "python": "/no/python"},
            "Python for the models m:B can't be run (No such file or directory: ",
        ),
    ],
)
def test_what_can_not_be_read(tmp_path: Path, source: dict[str, str], said: str) -> None:
    (tmp_path / "bad.sql").write_text("CREATE TABEL a;")
    with pytest.raises(SlipwayError) as caught:
        wanted.read(source, str(tmp_path), {})
    assert str(caught.value).startswith(said.format(home=tmp_path))


def test_models_are_imported_by_another_python(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    models = tmp_path / "src" / "models_of_a_shop.py"
    models.write_text(
        "import os\nfrom sqlalchemy import Column, MetaData, Table, Text\nprint('noise')\nmetadata = MetaData()\n"
        "Table(os.environ['TABLE'], metadata, Column('a', Text))\n"
    )
    source = {"sqlalchemy": "models_of_a_shop:metadata", "path": "src"}
    found = wanted.read(source, str(tmp_path), {"TABLE": "t"})
    assert found.speaks == ("sqlalchemy",)
    assert "CREATE TABLE t" in found.script.text
    assert [path.name for path in models.parent.iterdir()] == [models.name]
    with pytest.raises(SlipwayError) as caught:
        wanted.read(source, str(tmp_path), {})
    assert f"The models models_of_a_shop:metadata can't be imported from {models.parent}; " in str(caught.value)
    assert f'File "{models}", line 5' in str(caught.value)
    assert str(caught.value).endswith("KeyError: 'TABLE'")


PRISMA = """\
#!/bin/sh
echo "$@" > asked
[ -z "$FAILING" ] || { echo "Error: P1012"; echo "error: Type \\"Strin\\" is neither a built-in type" >&2; exit 1; }
echo 'CREATE TABLE t (a int);'
"""


@pytest.mark.parametrize(("version", "option"), [("6.19.3", "--to-schema-datamodel"), ("7.0.1", "--to-schema")])
def test_prisma_is_asked_in_its_own_project(tmp_path: Path, version: str, option: str) -> None:
    program = tmp_path / "node_modules" / ".bin" / "prisma"
    program.parent.mkdir(parents=True)
    program.write_text(PRISMA)
    program.chmod(0o755)
    package = tmp_path / "node_modules" / "prisma"
    package.mkdir()
    (package / "package.json").write_text(json.dumps({"version": version}))
    schema = tmp_path / "prisma" / "schema.prisma"
    schema.parent.mkdir()
    schema.touch()
    found = wanted.read({}, str(tmp_path), {})
    assert (found.speaks, found.script.text) == (("prisma",), "CREATE TABLE t (a int);\n")
    assert (tmp_path / "asked").read_text() == f"migrate diff --from-empty {option} {schema} --script\n"
    with pytest.raises(SlipwayError) as caught:
        wanted.read({}, str(tmp_path), {"FAILING": "1"})
    assert str(caught.value) == (
        f'Prisma can\'t read {schema}, and says:\nError: P1012\nerror: Type "Strin" is neither a built-in type'
    )
