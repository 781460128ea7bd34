# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autotest.config import ConfigError, Settings

SOURCE = Path(__file__).resolve().parents[1] / "src"
GOOD = {"DATABASE_URL": "postgresql://app:secret@db:5432/autotest", "AUTOTEST_SECRET_KEY": "k" * 32}
FORM = (
    "DATABASE_URL is not of the form postgresql://role:password@host:port/database; "
    "percent-encode special characters in its parts."
)
NO_URL = "DATABASE_URL is not set; set it to postgresql://role:password@host:port/database."


def test_defaults() -> None:
    settings = Settings.from_env(GOOD)
    assert (settings.release, settings.pool_size, settings.frontend_dir) == ("unknown", 5, None)


def test_secrets_are_not_in_the_representation() -> None:
    shown = repr(Settings.from_env(GOOD))
    assert "secret@" not in shown
    assert GOOD["AUTOTEST_SECRET_KEY"] not in shown


def test_secrets_come_from_files_where_these_are_named(tmp_path: Path) -> None:
    for name, value in GOOD.items():
        (tmp_path / name).write_text(f"{value}\n")
    settings = Settings.from_env({f"{name}_FILE": str(tmp_path / name) for name in GOOD})
    assert (settings.database_url, settings.secret_key) == tuple(GOOD.values())


def test_a_file_that_is_no_secret_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    for path, sentence in {
        tmp_path / "none": f"DATABASE_URL_FILE is '{tmp_path}/none', which can't be read: No such file or directory.",
        tmp_path / "binary": f"DATABASE_URL_FILE is '{tmp_path}/binary', which is no text in UTF-8.",
    }.items():
        with pytest.raises(ConfigError) as caught:
            Settings.from_env({**GOOD, "DATABASE_URL": "", "DATABASE_URL_FILE": str(path)})
        assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"DATABASE_URL": ""}, NO_URL),
        (
            {"DATABASE_URL_FILE": "/run/secrets/url"},
            "DATABASE_URL and DATABASE_URL_FILE are both set; leave one of them out.",
        ),
        ({"DATABASE_URL": "mysql://app:secret@db/autotest"}, FORM),
        ({"DATABASE_URL": "host=db user=app dbname=autotest"}, FORM),
        ({"DATABASE_URL": "postgresql://app:100%zz@db/autotest"}, FORM),
        ({"DATABASE_URL": "postgresql://app:secret@db:5432"}, FORM),
        ({"DATABASE_URL": "postgresql://db/autotest"}, FORM),
        (
            {"AUTOTEST_SECRET_KEY": ""},
            "AUTOTEST_SECRET_KEY is not set; set it to at least 32 random characters.",
        ),
        (
            {"AUTOTEST_SECRET_KEY": "short"},
            "AUTOTEST_SECRET_KEY has 5 characters; set it to at least 32 random characters.",
        ),
        ({"AUTOTEST_RELEASE": "r1\r\nX-Evil: 1"}, "AUTOTEST_RELEASE must be at most 128 printable ASCII characters."),
        ({"AUTOTEST_POOL_SIZE": "0"}, "AUTOTEST_POOL_SIZE is '0'; set it to a whole number from 1 to 100."),
        ({"AUTOTEST_POOL_SIZE": "many"}, "AUTOTEST_POOL_SIZE is 'many'; set it to a whole number from 1 to 100."),
        ({"AUTOTEST_FRONTEND_DIR": "/nowhere"}, "AUTOTEST_FRONTEND_DIR is '/nowhere', where there is no index.html."),
    ],
)
def test_a_wrong_variable_is_one_sentence(change: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env(GOOD | change)
    assert str(caught.value) == sentence


def test_the_process_refuses_to_start() -> None:
    command = [sys.executable, "-m", "uvicorn", "autotest.main:app", "--app-dir", str(SOURCE), "--port", "0"]
    env = {name: value for name, value in os.environ.items() if name not in GOOD}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, f"autotest: {NO_URL}\n")
