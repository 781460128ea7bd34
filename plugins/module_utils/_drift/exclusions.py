# SPDX-License-Identifier: GPL-3.0-or-later
"""What drift takes no notice of when it compares with the migrations: what they don't make.

What no reader of the catalogue sees, such as Prisma's history, is left out where it is read (``_schema/catalogue.py``).
"""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._schema.catalogue import Catalogue

# What belongs to the environment rather than to the migrations, and is not there in a database that they alone made:
# how the objects' names begin.
ENVIRONMENT = (
    "owner of database", "rights on database for ", "owner of schema public", "rights on schema public for PUBLIC",
    "default rights on ", "rights on system ",
    "owner of extension ", "version of extension ", "tablespace of ", "data of ", "setting ",
)  # fmt: skip


def without_environment(catalogue: Catalogue, owner: str) -> Catalogue:
    """A catalogue without what belongs to the environment.

    So do schemas that are not the ``owner``'s, but for "public". ``owner`` is the role that applies the migrations, as
    PostgreSQL prints a role.
    """
    left = [f"rights on schema public for {catalogue.get('owner of schema public')}"]
    for key, role in catalogue.items():
        if key.startswith("owner of schema ") and role != owner and key != "owner of schema public":
            left += [key, f"rights on {key[len('owner of ') :]} for "]
    return {
        name: text
        for name, text in catalogue.items()
        if not name.startswith(ENVIRONMENT) and not name.startswith(tuple(left))
    }
