# SPDX-License-Identifier: GPL-3.0-or-later
"""The one file with a site's certificate and its key, on a host, as nginx in a container reads it.

It is one file so that no reader ever sees a certificate with the key of another.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file
from ansible_collections.slipway.deploy.plugins.module_utils._host.probe import user_name

MODE = 0o600
PULLING = 600  # seconds until an image is there


@dataclass(frozen=True)
class Reader:
    """Who reads the file: a container that may not be there yet ('': none), its image, its user by name or number."""

    container: str
    image: str
    user: str

    def uid(self) -> int:
        """The user's number. Raises SlipwayError when the image does not know the user."""
        user = self.user.partition(":")[0]
        if user.isdigit():
            return int(user)
        status, told = 1, ""
        image = docker.found("image", self.image, "{{.Id}}")
        about = "{{.State.Status}} {{.Image}} {{.Config.User}}"
        running = docker.found("container", self.container, about) if self.container else None
        if image and running == f"running {image} {self.user}":
            status, told = docker.run("exec", self.container, "id", "-u")
        if status:
            command = ("run", "--rm", "--network", "none", "--entrypoint", "id", self.image, "-u", user)
            status, told = docker.run(*command, timeout=PULLING)
        number = told.split()[-1:]
        if status or not number or not number[0].isdigit():
            raise SlipwayError(
                f"Image {self.image} does not say who its user {user} is ({' '.join(told.split())}): name one that it "
                "has, or give the user's number."
            )
        return int(number[0])


def differs(path: Path, content: str, uid: int) -> bool:
    """Whether the file is another than it should be, or somebody else may read it."""
    try:
        about = path.stat()
        return (about.st_uid, about.st_mode & 0o777, path.read_text()) != (uid, MODE, content)
    except FileNotFoundError:
        return True


def write(path: Path, content: str, uid: int) -> None:
    """Put the file there, for its reader alone. Raises SlipwayError when this user may not give it to the reader."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.parent.chmod(0o755)
        replace_file(str(path), content, MODE, uid)
    except PermissionError as error:
        Path(f"{path}.partial").unlink(missing_ok=True)
        raise SlipwayError(
            f"User {user_name()} may not give {path}, which holds the certificate's key, to uid {uid}, as whom nginx "
            f"runs ({plain(error)}): become root (ansible_become)."
        ) from error
