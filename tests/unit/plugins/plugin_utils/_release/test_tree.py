# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._release import tree as trees
from hypothesis import given
from hypothesis import strategies as st


def make(root: Path, *paths: str, **contents: str) -> Path:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(contents.get(path, path))
    return root


def paths(root: Path) -> list[str]:
    return [entry.path for entry in trees.read(root).entries]


@pytest.mark.parametrize(
    ("lines", "path", "left_out"),
    [
        ([], "a/b.py", False),
        ([], "a/__pycache__/b.pyc", True),
        ([], ".git/config", True),
        ([], "sub/.venv/bin/python", True),
        (["*.md"], "README.md", True),
        (["*.md"], "docs/README.md", False),
        (["**/*.md"], "docs/README.md", True),
        (["docs"], "docs/a/b", True),
        (["/docs/"], "docs/a/b", True),
        (["docs"], "docs.txt", False),
        (["docs/*"], "docs/a", True),
        (["docs/**"], "docs/a/b", True),
        (["a/**/z"], "a/z", True),
        (["a/**/z"], "a/b/c/z", True),
        (["?.txt"], "a.txt", True),
        (["?.txt"], "ab.txt", False),
        (["[ab].txt"], "b.txt", True),
        (["a.b"], "axb", False),
        (["# docs", "", "  docs  "], "docs", True),
        (["*", "!src"], "src/app.py", False),
        (["*", "!src"], "README", True),
        (["*.md", "!README.md"], "README.md", False),
        (["!README.md", "*.md"], "README.md", True),
        (["!**/*.pyc"], "a.pyc", False),
    ],
)
def test_dockerignore(lines: list[str], path: str, left_out: bool) -> None:
    assert trees.excluded(path, trees.patterns(lines)) is left_out


KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBkg4LVWM9nuwNSk3yByxZpYRTBnVJk5oYh7\n-----END EC PRIVATE KEY-----\n"
CERTIFICATE = KEY.replace("EC PRIVATE KEY", "CERTIFICATE")
SERVICE_ACCOUNT = '{"private_key": "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\\n-----END"}'
ABOUT_KEYS = (
    "if (text.startsWith('-----BEGIN PRIVATE KEY-----')) {\n  parse(text, 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC')\n}\n"
)


@pytest.mark.parametrize(
    ("path", "content", "out", "said"),
    [
        ("a.py", "", False, False),
        (".git/config", "", True, False),
        (".venv/bin/python", "", True, False),
        (".slipway/test/secrets.json", "", True, False),
        ("sub/.slipway/local/run/x", "", True, False),
        (".env", "", True, False),
        (".env.production", "", True, True),
        ("sub/.env.local", "", True, True),
        (".vault_pass", "", True, False),
        ("inventories/prod/vault.yml", "a: 1", True, True),
        ("inventories/prod/secret.yml", "$ANSIBLE_VAULT;1.1;AES256\n6133\n", True, True),
        ("about.yml", "# $ANSIBLE_VAULT;1.1;AES256\n", False, False),
        ("tls/server.key", "", True, True),
        ("tls/server.pem", KEY, True, True),
        ("tls/chain.pem", CERTIFICATE + KEY, True, True),
        ("tls/ca.pem", CERTIFICATE, False, False),
        ("google.json", SERVICE_ACCOUNT, True, True),
        ("parser.js", ABOUT_KEYS, False, False),
        ("config/secrets.json", "{}", True, True),
        (".ssh/config", "", True, True),
    ],
)
def test_secrets_stay_out_whatever_the_ignore_file_says(
    tmp_path: Path, path: str, content: str, out: bool, said: bool
) -> None:
    make(tmp_path, "app.py", path, **{path: content})
    (tmp_path / ".dockerignore").write_text("!**\n!.git\n!.venv\n!.env\n!**/.slipway\n!*.key\n")
    tree = trees.read(tmp_path)
    assert {entry.path for entry in tree.entries} == {"app.py"} | (set() if out else {path})
    top = next((top for top in (path, *map(str, Path(path).parents)) if top in tree.withheld), "")
    assert tree.warning == (
        f"Left out of {tmp_path}, since they look like secrets: {top}. To make one part of the release on purpose, "
        "name it in app_include."
        if said
        else ""
    )


def test_a_secret_is_included_by_its_name_alone(tmp_path: Path) -> None:
    make(tmp_path, "app.py", ".env.production", "sub/.env.production", ".ssh/config", ".git/config")
    tree = trees.read(tmp_path, include=[".env.production", ".ssh"])
    assert [entry.path for entry in tree.entries] == [".env.production", ".ssh/config", "app.py"]
    assert tree.withheld == ["sub/.env.production"]


def test_private_places_stay_out_even_when_included(tmp_path: Path) -> None:
    make(tmp_path / "app", "app.py", "state/secrets", "own.json", "kept.json")
    (tmp_path / "link").symlink_to("app")
    private = [tmp_path / "link/state", tmp_path / "app/own.json", tmp_path, tmp_path / "elsewhere", tmp_path / "app"]
    tree = trees.read(tmp_path / "app", include=["state", "own.json"], private=private)
    assert [entry.path for entry in tree.entries] == ["app.py", "kept.json"]


def test_secrets_do_not_count_for_the_digest(tmp_path: Path) -> None:
    make(tmp_path, "app.py")
    before = trees.digest(trees.read(tmp_path).entries)
    make(tmp_path, ".slipway/test/secrets.json", ".env", "tls.key")
    assert trees.digest(trees.read(tmp_path).entries) == before


def test_a_long_list_of_secrets_is_cut_short(tmp_path: Path) -> None:
    make(tmp_path, "app.py", *(f"{number:02}.key" for number in range(13)))
    assert " 09.key, 3 more. To make one" in trees.read(tmp_path).warning


def test_entries_are_sorted_and_follow_the_ignore_file(tmp_path: Path) -> None:
    make(tmp_path, "b", "a/x", "docs/one", "docs/two", "__pycache__/z")
    (tmp_path / ".dockerignore").write_text("docs\n!docs/two\n")
    assert paths(tmp_path) == ["a/x", "b", "docs/two"]


def test_extra_files_are_put_in_and_over(tmp_path: Path) -> None:
    root = make(tmp_path / "root", "a", "secret")
    (root / ".dockerignore").write_text("secret\n")
    other = make(tmp_path, "other") / "other"
    found = trees.read(root, {"a": other, "secret": other, "new/b": other}).entries
    assert [(entry.path, entry.source) for entry in found] == [("a", other), ("new/b", other), ("secret", other)]


def test_digest_sees_content_path_bit_link_and_inputs(tmp_path: Path) -> None:
    root = make(tmp_path, "a", "b/c")
    seen = {trees.digest(trees.read(root).entries)}

    def changed() -> None:
        found = trees.digest(trees.read(root).entries)
        assert found not in seen
        seen.add(found)

    (root / "a").write_text("other")
    changed()
    (root / "a").chmod(0o755)
    changed()
    (root / "a").rename(root / "z")
    changed()
    (root / "a").symlink_to("z")
    changed()
    (root / "a").unlink()
    (root / "a").symlink_to("b")
    changed()
    assert trees.digest(trees.read(root).entries, dockerfile="x") not in seen


def test_digest_and_archive_do_not_see_times_modes_or_empty_directories(tmp_path: Path) -> None:
    def archive() -> tuple[str, bytes]:
        tree, output = trees.read(root).entries, io.BytesIO()
        trees.write_archive(tree, output)
        return trees.digest(tree), output.getvalue()

    root = make(tmp_path, "a", "b/c")
    before = archive()
    os.utime(root / "a", (1, 1))
    (root / "a").chmod(0o600)
    (root / "empty").mkdir()
    assert archive() == before


def test_archive_holds_files_links_and_the_bit(tmp_path: Path) -> None:
    root = make(tmp_path, "run.sh", "d/file")
    (root / "run.sh").chmod(0o700)
    (root / "link").symlink_to("d/file")
    output = io.BytesIO()
    trees.write_archive(trees.read(root).entries, output)
    with tarfile.open(fileobj=io.BytesIO(output.getvalue())) as archive:
        found = {member.name: (member.mode, member.linkname, member.mtime, member.uid) for member in archive}
        file = archive.extractfile("d/file")
        assert file is not None
        assert file.read() == b"d/file"
    assert found == {"d/file": (0o644, "", 0, 0), "link": (0o644, "d/file", 0, 0), "run.sh": (0o755, "", 0, 0)}


@given(st.permutations(["a", "b", "c/d", "c/e", "ü"]))
def test_order_is_that_of_the_paths(names: list[str]) -> None:
    entries = sorted(trees.Entry(name, Path("/dev/null")) for name in names)
    assert [entry.path for entry in entries] == ["a", "b", "c/d", "c/e", "ü"]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: None, "{root} is not a directory on the controller: name the directory that holds the release."),
        (lambda root: root.mkdir(), "{root} holds no file that belongs to a release: name another directory."),
        (
            lambda root: (root.mkdir(), os.mkfifo(root / "pipe")),
            "{root}/pipe is neither a file, a directory nor a link: remove it, or ignore it.",
        ),
    ],
)
def test_what_can_not_be_released(tmp_path: Path, prepare: object, message: str) -> None:
    root = tmp_path / "app"
    prepare(root)  # type: ignore[operator]
    with pytest.raises(SlipwayError) as error:
        trees.read(root)
    assert str(error.value) == message.format(root=root)


def test_a_missing_extra_file(tmp_path: Path) -> None:
    root = make(tmp_path, "a")
    with pytest.raises(SlipwayError) as error:
        trees.read(root, {"ca.pem": tmp_path / "none"})
    assert str(error.value) == (
        f"{tmp_path}/none, wanted as ca.pem in {root}, is not a file on the controller: correct its path."
    )
