# SPDX-License-Identifier: GPL-3.0-or-later
"""Code that one process has compiled another one finds, whatever became of the file meanwhile."""

from __future__ import annotations

import hashlib
import os
from multiprocessing import Process
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run import code_store
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.code_store import CodeStore


def key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def compiled(text: str) -> object:
    return compile(text, "<test>", "eval")


def value(store: CodeStore, text: str) -> object:
    code = store.get(key(text))
    return code and eval(code)


def opened(path: Path) -> CodeStore:
    store = CodeStore(path)
    store.open()
    return store


def put(path: Path, *texts: str) -> None:
    store = opened(path)
    for text in texts:
        store.put(key(text), compile(text, "<test>", "eval"))


def test_what_one_run_has_compiled_the_next_one_finds(tmp_path: Path) -> None:
    path = tmp_path / "codes"
    put(path, "6 * 7", "'a' + 'b'")
    assert path.stat().st_mode & 0o777 == 0o600
    store = opened(path)
    assert [value(store, text) for text in ("6 * 7", "'a' + 'b'", "6 * 8")] == [42, "ab", None]


def test_what_others_add_meanwhile_is_found_when_it_is_read(tmp_path: Path) -> None:
    store = opened(tmp_path / "codes")
    put(tmp_path / "codes", "6 * 7")
    assert store.get(key("6 * 7")) is None
    store.refresh()
    assert value(store, "6 * 7") == 42


def test_many_may_add_at_once(tmp_path: Path) -> None:
    path = tmp_path / "codes"
    texts = [[f"{process} * 1000 + {number}" for number in range(200)] for process in range(4)]
    running = [Process(target=put, args=(path, *each)) for each in texts]
    for process in running:
        process.start()
    for process in running:
        process.join()
    store = opened(path)
    assert [value(store, text) for each in texts for text in each] == [
        p * 1000 + n for p in range(4) for n in range(200)
    ]


@pytest.mark.parametrize("cut", [1, 20, 39, 45])
def test_what_is_not_whole_is_not_read_and_the_file_starts_afresh(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "codes"
    put(path, "1", "2")
    size = path.stat().st_size
    put(path, "3")
    os.truncate(path, size + cut)
    store = opened(path)
    assert [value(store, text) for text in ("1", "2", "3")] == [1, 2, None]
    assert not path.exists()
    put(path, "3")
    assert value(opened(path), "3") == 3


def test_a_changed_byte_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "codes"
    put(path, "1", "2")
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    store = opened(path)
    assert [value(store, text) for text in ("1", "2")] == [1, None]


def test_it_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "codes"
    put(path, "1")
    monkeypatch.setattr(code_store, "LARGEST", 100)
    assert value(opened(path), "1") == 1
    assert not path.exists()


def test_what_can_not_be_written_is_there_for_this_process(tmp_path: Path) -> None:
    store = opened(tmp_path / "nowhere/codes")
    with pytest.raises(FileNotFoundError):
        store.put(key("1"), compile("1", "<test>", "eval"))
    assert value(store, "1") == 1
