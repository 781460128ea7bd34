# SPDX-License-Identifier: GPL-3.0-or-later
"""The configurations of nginx that led to the releases which are kept, beside the one that is in use."""

from __future__ import annotations

import os
from collections.abc import Collection

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, replace_file

SUFFIX = ".conf"


class Former:
    """A directory beside that of the configuration ``path``, which nginx does not see; a file for each container."""

    def __init__(self, path: str) -> None:
        self.directory = os.path.join(os.path.dirname(os.path.dirname(path)), "former")

    def names(self) -> set[str]:
        """The containers whose configuration was kept."""
        if not os.path.isdir(self.directory):
            return set()
        return {name[: -len(SUFFIX)] for name in os.listdir(self.directory) if name.endswith(SUFFIX)}

    def content(self, container: str) -> str:
        """The configuration that led to a container. Raises SlipwayError where it was not kept."""
        found = read(self._file(container))
        if not found:
            raise SlipwayError(
                f"How requests were led to {container} was not kept in {self.directory}: check out the revision of "
                "that release and deploy it."
            )
        return found

    def keep(self, container: str, content: str) -> None:
        """Keep the configuration that leads to a container until now."""
        os.makedirs(self.directory, 0o755, exist_ok=True)
        replace_file(self._file(container), content, 0o644)

    def forget(self, all_but: Collection[str]) -> None:
        """Remove those of containers that are gone."""
        for name in self.names() - set(all_but):
            os.remove(self._file(name))

    def _file(self, container: str) -> str:
        return os.path.join(self.directory, container + SUFFIX)
