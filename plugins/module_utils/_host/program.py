# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a program of what a module was sent with, so that the host can run it again without a controller."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file

OURS = "ansible_collections.slipway.deploy.plugins.module_utils."


def packed(main: str) -> bytes:
    """A zip file that ``python3 FILE ARGUMENTS`` runs: it calls ``main`` of the module ``main`` with the arguments.

    It holds the source of every part of the core that this process has imported, and is the same each time.
    """
    texts = {
        "__main__.py": f"import sys\nfrom {main} import main\n\nsys.exit(main(sys.argv[1:]))\n",
        **{f"{name.replace('.', '/')}.py": _source(name) for name in sorted(sys.modules) if _is_file(name)},
    }
    # Each folder is a package: on a host that has Ansible one of that name would go before a folder that is none.
    for name in list(texts):
        parts = name.split("/")[:-1]
        texts.update({"/".join([*parts[:depth], "__init__.py"]): "" for depth in range(1, len(parts) + 1)})
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in sorted(texts.items()):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return made.getvalue()


@dataclass(frozen=True)
class Files:
    """Files of one directory of the host, the owner's alone, with the content that they are to have."""

    directory: Path
    wanted: Mapping[Path, bytes]

    def changed(self) -> dict[Path, bytes]:
        """Those that are not there, or have another content."""
        return {
            path: content for path, content in self.wanted.items() if not path.exists() or path.read_bytes() != content
        }

    def write(self) -> None:
        """Write what has changed."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content in self.changed().items():
            replace_file(str(path), content, 0o600)

    @contextlib.contextmanager
    def written(self) -> Iterator[None]:
        """Write what has changed; where the block fails, what was there before is there again."""
        former = {path: path.read_bytes() if path.exists() else None for path in self.changed()}
        self.write()
        try:
            yield
        except BaseException:
            for path, content in former.items():
                if content is None:
                    path.unlink()
                else:
                    replace_file(str(path), content, 0o600)
            raise


def settings(values: Mapping[str, Any]) -> bytes:
    """What a packed program is told, as a file that is the same each time."""
    return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()


def _is_file(name: str) -> bool:
    """Whether a module is one of the core's files, but for the one that knows Ansible."""
    spec = getattr(sys.modules[name], "__spec__", None)
    return bool(name.startswith(OURS) and name != f"{OURS}_module" and spec and spec.submodule_search_locations is None)


def _source(name: str) -> str:
    spec = sys.modules[name].__spec__
    loader: Any = spec.loader if spec else None  # of a file or of a zip file, and each has get_source
    text = loader.get_source(name)
    assert text is not None
    return str(text)
