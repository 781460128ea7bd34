# SPDX-License-Identifier: GPL-3.0-or-later
"""sqladmin's pages of each table: rows as a list and alone, links to where they refer, forms where one may write."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import anyio
from ansible_collections.slipway.deploy.plugins.plugin_utils._studio import cells
from ansible_collections.slipway.deploy.plugins.plugin_utils._studio.tables import (
    Link,
    Mapped,
    as_text,
    condition,
    key_text,
    same,
)
from markupsafe import Markup
from sqladmin import ModelView
from sqladmin.filters import BooleanFilter, OperationColumnFilter, StaticValuesFilter
from sqladmin.forms import WTFORMS_ATTRS
from sqlalchemy import (
    Boolean,
    Date,
    DateTime,
    Enum,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Uuid,
    asc,
    cast,
    desc,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import JSON, Interval, Time
from starlette.exceptions import HTTPException
from starlette.requests import Request

WILD, ESCAPED = re.compile(r"([\\%_])"), r"\\\1"
WHERE = "where."  # before a column's name in an address, where page, search and sort are names too
COMPARABLE = (String, Integer, Numeric, Date, DateTime, Uuid)
# What sqladmin has a field for that keeps a value as it is.
EDITABLE = (String, Integer, Numeric, Boolean, Date, DateTime, Time, Uuid, JSON, Interval)


class EqualsFilter(OperationColumnFilter):
    """A filter by what is typed, which the server reads as a value of the column's type."""

    async def get_filtered_query(self, query: Any, operation: str, value: Any, model: Any) -> Any:
        if operation == "equals":
            return query.filter(same(model, {str(self.column): str(value)}))
        return await super().get_filtered_query(query, operation, value, model)


class TableView(ModelView):
    """The view of one table, ``mapped``."""

    mapped: Mapped
    list_template = "studio/list.html"
    details_template = "studio/details.html"
    page_size = 25
    page_size_options = (25, 100, 1000)
    search_auto_submit = False
    can_export = False
    form_include_pk = True

    # Which row

    def _stmt_by_identifier(self, identifier: str) -> Any:
        try:
            return self.list_query(None).where(condition(self.model, self.mapped.keys, identifier))
        except ValueError as error:
            raise HTTPException(404) from error

    def _build_url_for(self, name: str, request: Request, obj: Any) -> Any:
        return request.url_for(name, identity=self.identity, pk=self.key(obj))

    def _url_for_delete(self, request: Request, obj: Any) -> str:
        return f"{request.url_for('admin:delete', identity=self.identity)}?{urlencode({'pks': self.key(obj)})}"

    def key(self, obj: Any) -> str:
        """What names a row in an address."""
        return key_text(values_of(obj, self.mapped.keys))

    def list_query(self, request: Request | None) -> Any:
        return select(self.model)

    def search_query(self, stmt: Any, term: str) -> Any:
        pattern = f"%{WILD.sub(ESCAPED, term)}%"
        found = [cast(getattr(self.model, name), String).ilike(pattern) for name in self._search_fields]
        return stmt.filter(or_(*found))

    def sort_query(self, stmt: Any, request: Request) -> Any:
        wanted = request.query_params.get("sortBy")
        if wanted and wanted not in self._sort_fields:
            raise HTTPException(400, detail=f"Rows can't be sorted by {wanted}.")
        order = desc if request.query_params.get("sort") == "desc" else asc
        # By the key at last, so that no row is on two pages.
        names = [] if self.mapped.counted else self.mapped.keys
        return stmt.order_by(
            *([order(getattr(self.model, wanted))] if wanted else []),
            *(getattr(self.model, name) for name in names if name != wanted),
        )

    def referring(self, request: Request, obj: Any) -> list[tuple[str, str]]:
        """The tables whose rows may refer to this one, each with the address of those rows."""
        found = []
        for other, link in self.mapped.referred_by:
            address = rows_address(request, other, link.columns, values_of(obj, link.referred))
            if address:
                found.append((f"{other.label} ({', '.join(link.columns)})", address))
        return found

    # Writing

    async def get_form_data_for_edit(self, obj: Any) -> dict[str, Any]:
        return {WTFORMS_ATTRS.get(name, name): getattr(obj, name) for name in self._form_prop_names}

    async def on_model_change(self, data: dict[str, Any], model: Any, is_created: bool, request: Request) -> None:
        """Leave out what was not typed: a default is the server's, and a value that nobody changed stays to the bit."""
        for name in list(data):
            if is_created:
                column = self._mapper.columns[name]
                untouched = data[name] in (None, "") and column.server_default is not None
            else:
                untouched = unchanged(getattr(model, name), data[name])
            if untouched:
                del data[name]

    async def delete_model(self, request: Request, pk: Any) -> None:
        def delete() -> None:
            with self.session_maker() as session:
                session.delete(session.execute(self._stmt_by_identifier(pk)).scalars().one())
                session.commit()

        with in_words():
            await anyio.to_thread.run_sync(delete)

    async def insert_model(self, request: Request, data: dict[str, Any]) -> Any:
        with in_words():
            return await super().insert_model(request, data)

    async def update_model(self, request: Request, pk: str, data: dict[str, Any]) -> Any:
        with in_words():
            return await super().update_model(request, pk, data)


def said(error: DBAPIError) -> str:
    """The server's own words, without those of SQLAlchemy."""
    diagnosis = getattr(error.orig, "diag", None)
    return getattr(diagnosis, "message_primary", None) or " ".join(str(error.orig).split())


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """What the server says against a change, for the form."""
    try:
        yield
    except DBAPIError as error:
        raise ValueError(f"The database says: {said(error)}") from error


def unchanged(before: Any, typed: Any) -> bool:
    """Whether a form gives back what it was given; it knows no microseconds, and no NULL beside an empty text."""
    if isinstance(before, datetime) and isinstance(typed, datetime):
        before = before.replace(microsecond=0)
        return bool(before.replace(tzinfo=typed.tzinfo) == typed if typed.tzinfo is None else before == typed)
    return bool(before == typed) or (before in (None, "") and typed in (None, ""))


def values_of(obj: Any, columns: Sequence[str]) -> list[Any]:
    return [getattr(obj, column) for column in columns]


def rows_address(request: Request, table: Mapped, columns: Sequence[str], values: Sequence[Any]) -> str:
    """The list of a table's rows whose columns have these values; '' where one of them is NULL."""
    if None in values:
        return ""
    words: dict[str, str] = {}
    for name, value in zip(columns, values, strict=True):
        words |= {WHERE + name: as_text(value), f"{WHERE}{name}_op": "equals"}
    return f"{request.url_for('admin:list', identity=table.name)}?{urlencode(words)}"


def row_address(request: Request, link: Link, obj: Any) -> str:
    """Where a foreign key of a row leads; '' where one of its values is NULL."""
    values = dict(zip(link.referred, values_of(obj, link.columns), strict=True))
    if None in values.values() or set(values) != set(link.target.keys):
        return rows_address(request, link.target, link.referred, list(values.values()))
    key = key_text([values[name] for name in link.target.keys])
    return str(request.url_for("admin:details", identity=link.target.name, pk=key))


def formatter(mapped: Mapped, show: Callable[[Any], Markup]) -> Callable[[Any, str, Request], Markup]:
    """How a column's value is shown: by ``show``, and as a link where it refers to a row."""

    def shown(obj: Any, column: str, request: Request) -> Markup:
        link, value = mapped.link_of(column), getattr(obj, column)
        address = row_address(request, link, obj) if link else ""
        return Markup('<a href="{}">{}</a>').format(address, show(value)) if address else show(value)

    return shown


def filters(mapped: Mapped, types: Mapping[str, Any]) -> list[Any]:
    """A filter for each column that can be compared with what is typed."""
    found: list[Any] = []
    referring = {name for link in mapped.links for name in link.columns}
    referring |= {name for _table, link in mapped.referred_by for name in link.referred}
    for name, kind in types.items():
        told: dict[str, Any] = {"title": name, "parameter_name": WHERE + name}
        if isinstance(kind, Boolean):
            found.append(BooleanFilter(name, **told))
        elif isinstance(kind, Enum):
            found.append(StaticValuesFilter(name, values=[(each, each) for each in kind.enums], **told))
        elif isinstance(kind, COMPARABLE) or name in referring:
            found.append(EqualsFilter(name, **told))
    return found


def view_of(mapped: Mapped, write: bool) -> type[TableView]:
    """sqladmin's view of a table."""
    properties = {name: getattr(mapped.model, name).property.columns[0] for name in mapped.columns}
    types = {name: column.type for name, column in properties.items()}
    usual = [name for name in mapped.columns if not isinstance(types[name], (LargeBinary, JSON, ARRAY))]
    may_write = write and mapped.writable
    unfit = [
        name for name, column in properties.items()
        if not isinstance(column.type, EDITABLE) or getattr(column, "computed", None) is not None
        or getattr(getattr(column, "identity", None), "always", False)
    ]  # fmt: skip
    attributes: dict[str, Any] = {
        "mapped": mapped,
        "name": mapped.label,
        "name_plural": mapped.label,
        "category": "" if mapped.schema == "public" else mapped.schema,
        "column_list": mapped.columns,
        "column_details_list": mapped.columns,
        "column_formatters": dict.fromkeys(mapped.columns, formatter(mapped, cells.short)),
        "column_formatters_detail": dict.fromkeys(mapped.columns, formatter(mapped, cells.whole)),
        "column_searchable_list": [name for name in mapped.columns if not isinstance(types[name], LargeBinary)],
        "column_sortable_list": usual,
        "column_filters": filters(mapped, types),
        "form_excluded_columns": [*unfit, *(key for key in mapped.keys if key not in mapped.columns)],
        "can_view_details": not mapped.counted,
        **dict.fromkeys(("can_create", "can_edit", "can_delete"), may_write),
    }
    kind: Any = type(TableView)  # which takes the model
    made: type[TableView] = kind(mapped.name, (TableView,), attributes, model=mapped.model)
    return made
