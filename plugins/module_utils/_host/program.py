# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a program of what a module was sent with, so that the host can run it again without a controller."""

from __future__ import annotations

import io
import sys
import zipfile
from typing import Any

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
