# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the rules that the modules for migrations share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  policy:
    description: What to do with what is out of the ordinary. V(deny) stops the run before anything is written.
    type: dict
    suboptions:
      edited:
        description: A file is not what was applied. V(deny) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      edited_whitespace:
        description: A file differs from what was applied only by blanks added at the ends of lines, or by white space
          at its start or end; other changes of white space count as O(policy.edited). V(deny) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      missing:
        description: An applied migration has no file. V(deny) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      ahead:
        description: All the applied migrations without a file are newer than the files, as when an older release is
          deployed. V(deny) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      out_of_order:
        description: A pending migration comes before one that is applied. V(warn) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      destructive:
        description: >-
          A pending migration drops a table, column, schema or database that exists, drops with C(CASCADE) something
          that columns may depend on, drops what a role owns, empties a table or a column, deletes with C(MERGE), or
          gives a column a type for which the table is rewritten, with C(USING) in any case. The code of C(DO) counts,
          that of functions does not. What the same file has made is no loss. After a change of C(search_path), what is
          named without a schema is taken to exist. V(warn) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      blocking:
        description: >-
          A pending migration, rehearsed, holds a lock on a table for so long that those who use the live table could
          not bear it, by O(ignore:blocking_limits) of M(slipway.deploy.migrations). C(ACCESS EXCLUSIVE) counts, for
          which all wait, and C(EXCLUSIVE), C(SHARE ROW EXCLUSIVE) and C(SHARE), for which all who write wait; other
          locks keep nobody from the rows. Only a rehearsal looks. V(warn) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      lint:
        description: >-
          The linter squawk finds something in a pending migration that matters to this database, such as a lock on a
          table of more than 10 MiB that stops its readers or writers. A comment C(-- slipway: allow RULE: REASON)
          before the statement, in it or after it on its line waives it there; squawk's own comments and settings have
          no effect. What is about style alone is at most warned of where nothing was ever applied. V(warn) unless told
          otherwise; V(allow) does without squawk.
        type: str
        choices: [allow, warn, deny]
      drift:
        description: >-
          The database was changed outside its migrations. Only M(slipway.deploy.migrations_info) looks, where its
          option O(ignore:drift) says so. V(warn) unless told otherwise; V(allow) does not look.
        type: str
        choices: [allow, warn, deny]
  waivers:
    description:
      - Exceptions from O(policy) for single migrations.
      - One that lets a denied migration pass is kept in the table C(slipway.migration_decisions).
    type: list
    elements: dict
    default: []
    suboptions:
      migration:
        description: Name of the migration.
        type: str
        required: true
      rule:
        description: The rule that need not hold.
        type: str
        required: true
        choices: [edited, edited_whitespace, missing, ahead, out_of_order, destructive, blocking, lint]
      reason:
        description: Why.
        type: str
        required: true
      author:
        description: Who says so.
        type: str
        required: true
  policy_names:
    description: What O(policy) and O(waivers) are called by those who set them, to be named in messages.
    type: dict
    suboptions:
      policy:
        description: The name for O(policy).
        type: str
      waivers:
        description: The name for O(waivers).
        type: str
"""
