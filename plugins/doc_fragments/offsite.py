# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules that use copies of backups away from their host."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  offsite:
    description:
      - Address of a repository of restic for copies away from this host, as C(restic -r) takes it, such as
        V(/mnt/nas/backups), V(sftp:backup@nas:/srv/backups), V(s3:https://s3.example.com/bucket) or
        V(rclone:remote:path). Empty for none. The program C(restic) (0.14 or newer) is on the host.
      - It is made where this host has never seen one at that address. One that was there before and is there no longer
        is an error.
    type: str
    default: ""
  offsite_password:
    description: The repository's password. Without it nobody reads the backups, so it is kept in another place too.
    type: str
    default: ""
  offsite_env:
    description: Environment for restic, such as C(AWS_ACCESS_KEY_ID) and C(AWS_SECRET_ACCESS_KEY).
    type: dict
    default: {}
  offsite_options:
    description: Options for C(restic -o), such as C(sftp.command). They are seen in the host's process list.
    type: dict
    default: {}
  offsite_append_only:
    description: Whether the repository lets nothing be removed, so that this is not tried.
    type: bool
    default: false
  offsite_insist:
    description: Whether a proved backup that could not be sent is an error, and not only a warning.
    type: bool
    default: false
"""
