"""Who may do what with a table: grants and permissive policies, taken away and given back exactly.

A grant is recorded as one privilege from one grantor to one grantee, so that it is given back by the same grantor and
after the grant it rests on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from migrator.database import catalog
from migrator.database.connect import Connection
from migrator.model.names import Relation, literal, quote

PUBLIC = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One privilege on a table or one of its columns; a grantor of None is the owner, a grantee of '' is PUBLIC."""

    schema: str
    table: str
    column: str | None
    grantor: str | None
    grantee: str
    privilege: str
    grantable: bool

    def rests_on(self, other: Grant) -> bool:
        """Whether the other grant is what lets this one's grantor give it."""
        same = (self.schema, self.table, self.privilege) == (other.schema, other.table, other.privilege)
        return same and other.grantable and other.grantee == self.grantor and other.column in {None, self.column}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy as the statement that makes it, without its table, and its comment."""

    schema: str
    table: str
    name: str
    definition: str
    comment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Everything that lets others than the owner in."""

    grants: tuple[Grant, ...] = ()
    policies: tuple[Policy, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Give what the Ledger keeps."""
        return asdict(self)

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Access:
        """Read what the Ledger kept."""
        return cls(
            grants=tuple(Grant(**one) for one in facts["grants"]),
            policies=tuple(Policy(**one) for one in facts["policies"]),
        )

    @property
    def roles(self) -> frozenset[str]:
        """The roles that grants name."""
        named = {name for one in self.grants for name in (one.grantor, one.grantee)}
        return frozenset(name for name in named if name)


_ACLS = """(SELECT c.oid, n.nspname, c.relname, NULL::name AS attname, c.relowner, c.relacl AS acl
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN ({oids})
    UNION ALL SELECT c.oid, n.nspname, c.relname, a.attname, c.relowner, a.attacl
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.oid IN ({oids}) AND NOT a.attisdropped)"""

_GRANTS = f"""SELECT t.nspname, t.relname, t.attname, CASE WHEN x.grantor <> t.relowner THEN
        pg_get_userbyid(x.grantor) END, CASE WHEN x.grantee = 0 THEN '' ELSE pg_get_userbyid(x.grantee) END,
    x.privilege_type, x.is_grantable
    FROM {_ACLS} t, LATERAL aclexplode(t.acl) x WHERE x.grantee <> t.relowner
    ORDER BY t.nspname, t.relname, t.attname NULLS FIRST, 4 NULLS FIRST, 5, x.is_grantable, x.privilege_type"""

_ROLES = (
    "(SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ' ORDER BY u.at)"
)

_POLICIES = f"""SELECT n.nspname, c.relname, p.polname, concat_ws(' ', 'AS PERMISSIVE FOR', CASE p.polcmd
        WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
    'TO ' || {_ROLES} FROM unnest(p.polroles) WITH ORDINALITY u(r, at)),
    'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
    'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'), obj_description(p.oid, 'pg_policy')
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid IN ({{oids}}) AND p.polpermissive ORDER BY 1, 2, 3"""


def read(conn: Connection, oids: Iterable[int]) -> Access:
    """Read who is let into these tables."""
    named = _listed(oids)
    grants, policies = catalog.ask(conn, _GRANTS.format(oids=named), _POLICIES.format(oids=named))
    return Access(
        grants=tuple(
            Grant(
                schema=schema,
                table=table,
                column=column,
                grantor=grantor,
                grantee=grantee,
                privilege=privilege,
                grantable=grantable,
            )
            for schema, table, column, grantor, grantee, privilege, grantable in grants
        ),
        policies=tuple(
            Policy(schema=schema, table=table, name=name, definition=definition, comment=comment)
            for schema, table, name, definition, comment in policies
        ),
    )


def unchanged(oids: Iterable[int], access: Access) -> str:
    """Write the condition that the grants are as they were read: granting takes no lock on the table."""
    named = _listed(oids)
    listed = "; ".join(sorted(_line(one) for one in access.grants))
    return (
        f"(SELECT count(*) = {len(access.grants)}"
        f" AND coalesce(pg_catalog.string_agg(g.line, '; ' ORDER BY g.line COLLATE \"C\"), '') = {literal(listed)}"
        " FROM (SELECT pg_catalog.concat_ws(' ', t.nspname, t.relname, coalesce(t.attname, '-'),"
        " CASE WHEN x.grantor <> t.relowner THEN pg_catalog.pg_get_userbyid(x.grantor) ELSE '-' END,"
        " CASE WHEN x.grantee = 0 THEN '-' ELSE pg_catalog.pg_get_userbyid(x.grantee) END,"
        f" x.privilege_type, x.is_grantable::text) AS line FROM {_ACLS.format(oids=named)} t,"
        " LATERAL pg_catalog.aclexplode(t.acl) x WHERE x.grantee <> t.relowner) g)"
    )


def _line(grant: Grant) -> str:
    parts = (grant.schema, grant.table, grant.column or "-", grant.grantor or "-", grant.grantee or "-")
    return " ".join([*parts, grant.privilege, "true" if grant.grantable else "false"])


def taken_away(access: Access, role: str) -> Iterator[str]:
    """Write the statements that let nobody but the owner in; what rests on another grant goes first."""
    ordered = list(in_order(access.grants))
    yield from _as_grantors(reversed(ordered), role, back=True)
    for (schema, table), of_table in groupby(ordered, lambda one: (one.schema, one.table)):
        grantees = dict.fromkeys(one.grantee for one in of_table if one.grantor is None)
        if grantees:
            names = ", ".join(_role(one) for one in grantees)
            yield f"REVOKE ALL PRIVILEGES ON TABLE {Relation(schema, table).sql} FROM {names} CASCADE"
    for one in access.policies:
        yield f"DROP POLICY {quote(one.name)} ON {Relation(one.schema, one.table).sql}"


def given_back(access: Access, role: str) -> Iterator[str]:
    """Write the statements that let everybody in again as it was."""
    ordered = list(in_order(access.grants))
    own = [one for one in ordered if one.grantor is None]
    for group in _grouped(own):
        yield _grant(group)
    yield from _as_grantors(ordered, role, back=False)
    for one in access.policies:
        on = f"{quote(one.name)} ON {Relation(one.schema, one.table).sql}"
        yield f"CREATE POLICY {on} {one.definition}"
        if one.comment is not None:
            yield f"COMMENT ON POLICY {on} IS {literal(one.comment)}"


def nobody_in(oids: Iterable[int]) -> str:
    """Write the condition that nobody but the owner has a privilege."""
    exploded = f"{_ACLS.format(oids=_listed(oids))} t, LATERAL pg_catalog.aclexplode(t.acl) x"
    return f"NOT EXISTS (SELECT FROM {exploded} WHERE x.grantee <> t.relowner)"


def in_order(grants: Sequence[Grant]) -> Iterator[Grant]:
    """Give every grant after the one that it rests on."""
    given: list[Grant] = []
    left = list(grants)
    while left:
        ready = [one for one in left if one.grantor is None or any(one.rests_on(other) for other in given)]
        # Nothing ready can only be a circle, which the server does not make; better tried than lost.
        for one in ready or left:
            given.append(one)
            yield one
        left = [one for one in left if one not in given]


def unable(conn: Connection, access: Access) -> tuple[str, ...]:
    """Say which grants of others our role could not give back in their names, and why."""
    found = []
    for name in sorted({one.grantor for one in access.grants if one.grantor is not None}):
        schemas = {one.schema for one in access.grants if one.grantor == name}
        owned = " OR ".join(
            f"pg_has_role({literal(name)}, c.relowner, 'USAGE') AND c.oid = to_regclass({literal(table.sql)})"
            for table in {Relation(one.schema, one.table) for one in access.grants if one.grantor == name}
        )
        usable = " AND ".join(f"has_schema_privilege({literal(name)}, {literal(one)}, 'USAGE')" for one in schemas)
        mode = "SET" if conn.info.server_version >= SET_OPTION else "MEMBER"
        ((may, uses, owns),) = catalog.ask_one(
            conn,
            f"SELECT pg_has_role(current_user, {literal(name)}, '{mode}'), {usable},"
            f" EXISTS (SELECT FROM pg_class c WHERE {owned})",
        )
        if not may:
            found.append(f"{name} gave rights, and this role cannot act as {name}")
        elif not uses or owns:
            found.append(f"{name} gave rights that it could not give again by itself")
    return tuple(found)


SET_OPTION = 160_000  # from 16 on, being a member does not mean that one may act as the role


def current_role(conn: Connection) -> str:
    """Name the role that SET ROLE has to go back to."""
    found = catalog.value(conn, "SELECT current_setting('role')")
    return "NONE" if found in {None, "", "none"} else quote(str(found))


def gone(conn: Connection, access: Access) -> tuple[str, ...]:
    """List the roles of grants that are there no more."""
    if not access.roles:
        return ()
    names = ", ".join(f"({literal(one)})" for one in sorted(access.roles))
    found = catalog.ask_one(
        conn, f"SELECT v.name FROM (VALUES {names}) v(name) WHERE to_regrole(quote_ident(v.name)) IS NULL ORDER BY 1"
    )
    return tuple(str(name) for (name,) in found)


def _as_grantors(grants: Iterable[Grant], role: str, *, back: bool) -> Iterator[str]:
    for one in grants:
        if one.grantor is None:
            continue
        yield f"SET LOCAL ROLE {quote(one.grantor)}"
        yield _revoke(one) if back else _grant([one])
        yield f"SET LOCAL ROLE {role}"


def _grouped(grants: Sequence[Grant]) -> Iterator[list[Grant]]:
    """Put together what one GRANT can say."""

    def alike(one: Grant) -> tuple[Any, ...]:
        return (one.schema, one.table, one.column or "", one.grantee, one.grantable)

    for _, group in groupby(sorted(grants, key=alike), alike):
        yield list(group)


def _grant(group: Sequence[Grant]) -> str:
    first = group[0]
    tail = " WITH GRANT OPTION" if first.grantable else ""
    return f"GRANT {_privileges(group)} ON TABLE {_on(first)} TO {_role(first.grantee)}{tail}"


def _revoke(grant: Grant) -> str:
    return f"REVOKE {_privileges([grant])} ON TABLE {_on(grant)} FROM {_role(grant.grantee)} CASCADE"


def _privileges(group: Sequence[Grant]) -> str:
    column = group[0].column
    of = "" if column is None else f" ({quote(column)})"
    return ", ".join(f"{one.privilege}{of}" for one in group)


def _on(grant: Grant) -> str:
    return Relation(grant.schema, grant.table).sql


def _role(name: str) -> str:
    return "PUBLIC" if name == PUBLIC else quote(name)


def _listed(oids: Iterable[int]) -> str:
    return ", ".join(str(one) for one in oids) or "NULL"
