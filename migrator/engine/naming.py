"""Where objects are named: by source rows, by target rows, and by what the Ledger keeps for the way back.

Every SELECT gives (row, bucket, key) as text, and the size where the Ledger knows it; a bucket that is NULL may be any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrator.database import inventory
from migrator.database.connect import Connection
from migrator.database.session import value
from migrator.engine.moved import moved_rows
from migrator.engine.prepare import Prepared
from migrator.engine.projection.bind import catalog_of
from migrator.engine.projection.translate import Translator
from migrator.engine.ranges import Keyset
from migrator.ledger import install, parameters
from migrator.model import expressions as ex
from migrator.model.errors import ConfigurationError, UsageError
from migrator.model.expressions import ObjectKey
from migrator.model.moved_objects import EXTENSION, PLACE, MovedObject, Template
from migrator.model.names import key_text, literal, quote
from migrator.model.parameters import Arguments
from migrator.model.tables import Table, TableColumn

URL = "'^[a-z][a-z0-9+.-]*://'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """One place where objects are named. `told`: a row whose object is not there is told of.

    `unasked` is a SELECT of how many rows there cannot be asked, where there may be some. `stems` are keys that stand
    for those with any extension. An object may be under the name that a row gives here `instead_of` there.
    """

    where: str
    rows: str
    told: bool = True
    unasked: str = ""
    stems: bool = False
    instead_of: str = ""


def of_source(conn: Connection, prepared: Prepared, default: str, search_path: str) -> Iterator[Names]:
    """Name the objects of every source row, whatever becomes of the row."""
    projection, backfill = prepared.projection, prepared.projection.backfill
    texts = Keyset.of_source(projection.source, projection.keys).texts
    read = f"{projection.reads or projection.source.relation.sql} AS {projection.source_alias}"
    for name, moved in backfill.objects.items():
        translator = _translator(conn, prepared, search_path)
        bucket = _bucket(translator, moved.bucket, default)
        keys = [translator.value(one).sql for one in (moved.source, *moved.or_else)]
        steps = "\n  ".join(translator.steps.written)
        held, where = projection.excluding, f"{backfill.name}: {name}"
        for place, key in enumerate(keys, 1):
            yield Names(
                where=where if place == 1 else f"{where}, key {place}",
                rows=f"SELECT {texts}, ({bucket})::text, ({key})::text, NULL::bigint FROM"
                f" (SELECT * FROM {read} WHERE {held} OFFSET 0) AS {projection.source_alias}\n  {steps}",
                told=place == 1,
                unasked="" if held == "true" else f"SELECT count(*) FROM {read} WHERE NOT ({held})",
                instead_of="" if place == 1 else where,
            )


def of_target(prepared: Prepared, default: str) -> Iterator[Names]:
    """Name the objects of every target row, whoever wrote it."""
    projection, backfill = prepared.projection, prepared.projection.backfill
    if not projection.target_exists:
        return
    for name, expression in backfill.expressions.items():
        used = {one.name for one in ex.walk(expression) if isinstance(one, ObjectKey)}
        column = projection.target.column(name)
        if used and column is not None:
            buckets = {
                _known_bucket(backfill.objects[one], default, prepared.change.arguments)
                for one in used
                if one in backfill.objects
            }
            bucket = buckets.pop() if len(buckets) == 1 else None
            keys = [one.name for one in projection.identity]
            yield of_column(projection.target, column, keys, bucket)


def by_convention(conn: Connection, prepared: Prepared, default: str) -> Iterator[Names]:
    """Name what stands at the keys that the definition would make of target rows, whoever wrote them.

    An application finds objects by such keys without holding them in a column. Of a key with one field that points at
    another table, that table's rows name it too.
    """
    projection, backfill = prepared.projection, prepared.projection.backfill
    if not projection.target_exists:
        return
    targets = [(one.template, one.to_bucket) for one in backfill.objects.values()]
    targets += [(one.template, one.bucket) for one in backfill.documents.values()]
    for template, expression in targets:
        bucket = constant(expression, default, prepared.change.arguments)
        if all(projection.target.column(one) is not None for one in template.columns):
            yield of_template(projection.target, template, bucket)
            yield from _of_what_it_points_at(conn, projection.target, template, bucket)


def _of_what_it_points_at(conn: Connection, table: Table, template: Template, bucket: str | None) -> Iterator[Names]:
    for key in table.foreign_keys:
        if key.columns == template.columns:
            other = inventory.table(conn, key.references)
            fields = dict(zip(key.columns, key.referenced_columns, strict=True))
            renamed = Template(template.literals, tuple(fields.get(one, one) for one in template.fields))
            if other is not None:
                yield of_template(other, renamed, bucket)


def of_template(table: Table, template: Template, bucket: str | None) -> Names:
    """Name what stands at a key for each row of a table; an extension may be any, if the key ends in it."""
    stems = template.has_extension and template.fields[-1] == EXTENSION and not template.literals[-1]
    fields = ["''" if one == EXTENSION else f"held.{quote(one)}::text" for one in template.fields]
    key = " || ".join(
        part for pair in zip(map(literal, template.literals), [*fields, "''"], strict=True) for part in pair
    )
    known = f"SELECT NULL::text[], {literal(bucket)}::text, {key}, NULL::bigint FROM {table.relation.sql} AS held"
    unknown = template.has_extension and not stems
    return Names(
        where=f"{table.relation}, by the key",
        rows=known,
        told=False,
        stems=stems,
        unasked=f"SELECT count(*) FROM {table.relation.sql}" if unknown else "",
    )


def of_column(table: Table, column: TableColumn, keys: list[str], bucket: str | None = None) -> Names:
    """Name the objects of one column: its texts, and of an address also what follows its host."""
    row = ", ".join(key_text(f"held.{quote(one)}") for one in keys) or "held.ctid::text"
    where = f"{table.relation}.{column.name}"
    texts = f"{table.relation.sql} AS held CROSS JOIN LATERAL {_texts(column)} AS told(said)"
    path = f"regexp_replace(regexp_replace(told.said, {URL} || '[^/?#]*/+', '', 'i'), '[?#].*$', '')"
    plain = (
        f"SELECT ARRAY[{row}], {literal(bucket)}::text, told.said, NULL::bigint FROM {texts} WHERE told.said !~* {URL}"
    )
    urls = [
        f"SELECT NULL::text[], NULL::text, {key}, NULL::bigint FROM {texts} WHERE told.said ~* {URL}"
        for key in (path, f"regexp_replace({path}, '^[^/]*/+', '')")
    ]
    escaped = f"SELECT count(*) FROM {texts} WHERE told.said ~* {URL} AND strpos(told.said, '%') > 0"
    return Names(where=where, rows=" UNION ALL ".join([plain, *urls]), unasked=escaped)


def of_ledger(conn: Connection, default: str) -> Iterator[Names]:
    """Name every object that the Ledger knows, and every text to which a rollback would bring a row back."""
    if install.version(conn) is None:
        return
    here = literal(default)
    for table in ("migrator.object", "migrator.former_object"):
        if value(conn, f"SELECT pg_catalog.to_regclass('{table}') IS NULL"):
            continue
        target = f"replace(to_key, {literal(PLACE)}, coalesce(extension, ''))"
        yield Names(
            where=table,
            told=False,
            rows=f"SELECT source_key, coalesce(source_bucket, nullif(from_bucket, ''), {here}), from_key, size"
            f" FROM {table} UNION ALL SELECT source_key, coalesce(target_bucket, nullif(to_bucket, ''), {here}),"
            f" {target}, coalesce(made_size, size) FROM {table}",
        )
    texts = (
        "SELECT NULL::text[], NULL::text, said.value, NULL::bigint FROM migrator.before_image,"
        " LATERAL pg_catalog.jsonb_each_text(before) AS said"
    )
    replaced = "SELECT NULL::text[], NULL::text, value, NULL::bigint FROM migrator.replaced_value"
    yield Names(where="the way back", told=False, rows=f"{texts} UNION ALL {replaced}")


def named_by(conn: Connection, said: str, search_path: str) -> Names:
    """Read TABLE.COLUMN, or TABLE=KEY with fields, as a further place where objects are named.

    Raises UsageError M293 where there is none, ConfigurationError M271 for a key that cannot be read.
    """
    if "=" in said:
        return _named_by_key(conn, said, search_path)
    table, _, name = said.rpartition(".")
    try:
        relation = inventory.find(conn, table, search_path) if table else None
    except ConfigurationError:  # no name of a table
        relation, table = None, ""
    found = None if relation is None else inventory.table(conn, relation)
    column = None if found is None else found.column(name.strip('"'))
    if found is None or column is None:
        near = inventory.similar(conn, table) if table and found is None else ()
        hint = f"Did you mean {' or '.join(near)}?" if near else "Write TABLE.COLUMN, for example posts.picture_key."
        raise UsageError("M293", f"There is no column {said!r} in which objects could be named.", hint)
    primary = next((list(one.columns) for one in found.uniques if one.primary), [])
    return of_column(found, column, primary)


def _named_by_key(conn: Connection, said: str, search_path: str) -> Names:
    name, _, key = said.partition("=")
    template = Template.parse(key)
    relation = inventory.find(conn, name, search_path) if name else None
    found = None if relation is None else inventory.table(conn, relation)
    missing = [one for one in template.columns if found is None or found.column(one) is None]
    if found is None or missing:
        what = f"There is no table {name!r}." if found is None else f"{name} has no column {missing[0]!r}."
        raise UsageError("M293", what, "Write TABLE=KEY, for example jobs=processed/{id}{ext}.")
    return of_template(found, template, None)


def _texts(column: TableColumn) -> str:
    """Write the texts in a value: itself, the elements of an array, every text of a document."""
    held = f"held.{quote(column.name)}"
    if column.type.element is not None:
        return f"(SELECT one::text FROM unnest({held}) AS one WHERE one IS NOT NULL)"
    if column.type.base in {"json", "jsonb"}:
        leaves = f"jsonb_path_query({held}::jsonb, '$.**')"
        return f"(SELECT leaf #>> '{{}}' FROM {leaves} AS leaf WHERE jsonb_typeof(leaf) = 'string')"
    return f"(SELECT {held}::text WHERE {held} IS NOT NULL)"


def _translator(conn: Connection, prepared: Prepared, search_path: str) -> Translator:
    """Translate over a whole source row, which no rule of the definition has decided."""
    change, projection = prepared.change, prepared.projection
    ledger = install.version(conn) is not None
    return Translator(
        source=projection.source,
        declared_source=projection.backfill.source,
        keys=projection.backfill.keys,
        arguments=change.arguments_of(projection.backfill),
        input_check=catalog_of(conn).input_check,
        stored_for=change.name if ledger and parameters.are_stored(conn, change.name, change.arguments) else None,
        moved=moved_rows(conn, change, projection.backfill, search_path=search_path, shapes={}, ledger=ledger),
    )


def _bucket(translator: Translator, bucket: ex.Expression | None, default: str) -> str:
    """Write the bucket of a row; none said is that of [s3]."""
    if bucket is None:
        return literal(default)
    return f"coalesce(nullif(({translator.value(bucket).sql})::text, ''), {literal(default)})"


def _known_bucket(moved: MovedObject, default: str, arguments: Arguments) -> str | None:
    """Give the bucket in which a key of a target row is; None where source and target, or rows, differ in it."""
    found = {constant(one, default, arguments) for one in (moved.bucket, moved.to_bucket)}
    return found.pop() if len(found) == 1 else None


def constant(bucket: ex.Expression | None, default: str, arguments: Arguments) -> str | None:
    """Give a bucket that is the same for every row; None where only the row tells."""
    match bucket:
        case None:
            return default
        case ex.Constant(value):
            return str(value or default)
        case ex.Given(parameter, by) if by is None and parameter.name not in arguments.files:
            return str(arguments.scalars.get(parameter.name, parameter.default) or default)
        case _:
            return None
