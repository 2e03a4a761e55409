"""From a change and a database to what the engine works on: tables looked up, definition compiled, Ledger joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from migrator.database import inventory
from migrator.database.connect import Connection
from migrator.engine import inplace, keys
from migrator.engine.accounts import Counted
from migrator.engine.given import refuse_no_labels, refuse_unusable
from migrator.engine.looked_up import asked_for
from migrator.engine.moved import moved_rows
from migrator.engine.projection.awaited import Awaited
from migrator.engine.projection.bind import catalog_of
from migrator.engine.projection.compile import compile_backfill
from migrator.engine.projection.fit import Subject
from migrator.engine.projection.images import ALGORITHM
from migrator.engine.projection.projection import Projection
from migrator.engine.ranges import Keyset
from migrator.engine.statements import Writing
from migrator.ledger import backfills, install, parameters, provenance, quarantine, steps, winners
from migrator.ledger.backfills import Image, Recorded
from migrator.ledger.run import Run
from migrator.model.backfill import Backfill
from migrator.model.change import Change
from migrator.model.errors import ConfigurationError, UsageError
from migrator.model.names import DEFAULT_COLLATION, Relation, first_schema, ours, quote
from migrator.model.step import Phase
from migrator.model.tables import ForeignKey, Table, TableColumn, TypeOf, Unique

FIRST_WITH_OBJECTS: Final = 4  # version of the Ledger
_TEXT = TypeOf(oid=25, name="text", base="text", schema="pg_catalog", kind="b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A backfill ready to work on. `recorded` is None while it never ran; `checked` is False for an unknown target."""

    change: Change
    projection: Projection
    recorded: Recorded | None
    provenances: tuple[str, ...]
    checked: bool = True
    only: str = "true"  # which source rows are looked at, and which of those in quarantine
    held: str = "true"

    @property
    def counted(self) -> Counted:
        """What the Balance asks for."""
        return Counted(
            projection=self.projection.foreseeing,
            recorded=self.recorded,
            provenances=self.provenances,
            only=self.only,
            held=self.held,
        )

    def writing(self, run: int = 0) -> Writing:
        """Give what copy and compare ask for."""
        assert self.recorded is not None  # only a recorded backfill is written or compared
        return Writing(projection=self.projection, recorded=self.recorded, run=run)

    def image(self, server: int) -> Image:
        """Give what is recorded of the definition."""
        backfill = self.projection.backfill
        return Image(
            digest=self.change.definition_digest(backfill),
            facts=backfill.facts(),
            marks=self.projection.mark_names,
            compared=backfill.compared,
            algorithm=ALGORITHM,
            server=server,
        )


def prepare(
    conn: Connection,
    change: Change,
    backfill: Backfill,
    *,
    search_path: str,
    shapes: Mapping[Relation, Table] | None = None,
    filling: frozenset[Relation] = frozenset(),
    adopting: frozenset[Relation] = frozenset(),
    blind: bool = False,
    coming: Sequence[Projection] | None = None,
) -> Prepared:
    """Compile a backfill against the database as it is; `shapes` are tables that are still to be made.

    `adopting` names tables that are there and will be brought over to their shape; while a column by which its rows are
    told apart is missing, they are not looked at.
    `filling` names targets of this change whose rows are still to come, so that no foreign key to them is judged; but
    for `coming`, the Projections of earlier backfills over what they will still bring, by which it is.
    `blind` to the Ledger, and to the rows of a target that this role may not read, all is still to come.
    Raises ConfigurationError M111 for a missing source, M106 for an argument that is of no use, and
    what `compile_backfill` raises.
    """
    refuse_unusable(conn, change, backfill)
    version = None if blind else install.version(conn)
    ledger = version is not None
    read, relation = source_relation(conn, backfill, search_path), target_relation(conn, backfill, search_path)
    found = inventory.tables(conn, {read, relation})
    source, live = found[read], found.get(relation)
    declared = (shapes or {}).get(relation)
    wanted = declared if relation in adopting else None
    whole = wanted is None or live is None or _can_be_looked_at(live, wanted, backfill)
    shape = wanted or live or declared
    recorded = backfills.recorded(conn, change.name, backfill.name) if ledger else None
    stored = ledger and parameters.are_stored(conn, change.name, change.arguments)
    refuse_no_labels(change, backfill, [one for one in (source, (shapes or {}).get(read)) if one is not None])
    catalog, target = catalog_of(conn), shape or unchecked(backfill, relation)
    as_it_will_be = ((shapes or {}).get(read) if read in adopting else None) or source
    instead = {} if as_it_will_be is source else inplace.instead_of(as_it_will_be, source, catalog.type_exists)
    subject = Subject(
        backfill=backfill,
        source=replace(as_it_will_be, estimated_rows=source.estimated_rows, bytes=source.bytes),
        target=target,
        target_exists=live is not None and whole and not (blind and "select" not in inventory.rights(conn, relation)),
        doubts=keys.doubts(conn, source, backfill.keys),
        arguments=change.arguments if stored or blind else asked_for(conn, backfill, source, change.arguments),
        stored_for=change.name if stored else None,
        reads=inplace.as_before(as_it_will_be, backfill, recorded if backfill.in_place else None, instead),
        recorded=recorded.id if recorded else None,
        grouped=recorded.id if recorded and backfill.group and winners.are_kept(conn, recorded.id) else None,
        moved=moved_rows(conn, change, backfill, search_path=search_path, shapes=shapes or {}, ledger=ledger),
        unready=_unready(conn, shape, filling if coming is None else filling & (adopting | _targets(coming))),
        objects_of=change.name if version is not None and version >= FIRST_WITH_OBJECTS else None,
        awaited={} if coming is None else _awaited(conn, shape, coming, filling, shapes or {}),
    )
    projection = compile_backfill(subject, catalog)
    ours = tuple(provenance.of_target(conn, backfill.target)) if ledger and live is not None else ()
    return Prepared(
        change=change,
        projection=_besides_raising(conn, projection.limited_to(ours).awaiting(coming or ()), recorded),
        recorded=recorded,
        provenances=ours,
        checked=declared is not None or (live is not None and wanted is None),
    )


def _can_be_looked_at(live: Table, coming: Table, backfill: Backfill) -> bool:
    """Tell whether the rows of a table are told apart by columns that it has, whatever columns are still to come."""
    needed = {*coming.names}
    if not backfill.in_place:
        filled = [one.columns for one in coming.uniques if set(one.columns) <= set(backfill.columns)]
        needed = {*backfill.identities, *backfill.merges, *backfill.fills}.union(*filled)
    return needed <= {*live.names}


def _besides_raising(conn: Connection, projection: Projection, recorded: Recorded | None) -> Projection:
    """Leave out the rows that are in quarantine because the definition's own SQL raises for them."""
    if recorded is None or not quarantine.any_raised(conn, recorded.id):
        return projection
    texts = Keyset.of_source(projection.source, projection.keys).texts
    raised = ours("raised")
    return projection.without(
        f"NOT EXISTS (SELECT FROM migrator.quarantine AS {raised} WHERE {raised}.backfill = {recorded.id}"
        f" AND {raised}.sqlstate IS NOT NULL AND {raised}.source_key = {texts})"
    )


def record_definition(run: Run, conn: Connection, change: Change, backfill: Backfill, search_path: str) -> Writing:
    """Record the definition this run works by, its parameters and its provenance table."""
    with run.writing(conn):
        parameters.store(conn, change.name, change.arguments)
        steps.begin(conn, run.lease, Phase.BACKFILL, backfill.name)
        prepared = prepare(conn, change, backfill, search_path=search_path)
        projection = prepared.projection
        recorded = backfills.record(
            conn,
            change.name,
            backfill.name,
            backfill.source,
            backfill.target,
            projection.keys,
            projection.identity,
            prepared.image(inventory.server(conn).major),
        )
        if backfill.group is not None and projection.grouping and projection.grouping.recorded is None:
            winners.create(conn, recorded.id, projection.keys, projection.identity)
            projection = prepare(conn, change, backfill, search_path=search_path).projection
        ours = provenance.of_target(conn, backfill.target)
        if backfill.in_place:
            projection = replace(projection, reads=inplace.as_before(projection.source, backfill, recorded, {}))
    return Writing(projection=projection.limited_to(ours), recorded=recorded, run=run.lease.run)


def source_relation(conn: Connection, backfill: Backfill, search_path: str) -> Relation:
    """Look the source up.

    Raises ConfigurationError M111 with the names that are near, UsageError M306 where its schema may be closed to us.
    """
    found = inventory.find(conn, backfill.source, search_path)
    if found is None:
        near = inventory.similar(conn, backfill.source)
        nothing = "Look at the address of the database and its search_path."
        hint = f"Did you mean {' or '.join(near)}?" if near else nothing
        where = backfill.path or backfill.name
        if closed := [quote(one) for one in inventory.closed(conn, search_path)]:
            raise UsageError(
                "M306",
                f"{where}: {backfill.source} is not found, and this role may not look into schema {', '.join(closed)}.",
                f"GRANT USAGE ON SCHEMA {', '.join(closed)} to the role; then run the same command again.",
            )
        raise ConfigurationError("M111", f"{where}: there is no table {backfill.source}.", hint)
    return found


def target_relation(conn: Connection, backfill: Backfill, search_path: str) -> Relation:
    """Say which relation the target is, or will be."""
    found = inventory.find(conn, backfill.target, search_path)
    return found or Relation.parse(backfill.target, default_schema=first_schema(search_path))


def unchecked(backfill: Backfill, relation: Relation) -> Table:
    """Stand in for a target of unknown shape: every column text, so that only the definition's own faults are found."""
    return Table(
        relation=relation,
        kind="r",
        columns=tuple(TableColumn(name=name, type=_TEXT, collates=DEFAULT_COLLATION) for name in backfill.columns),
        uniques=(Unique(name="identity", columns=backfill.identities),),
    )


def _awaited(
    conn: Connection,
    target: Table | None,
    coming: Sequence[Projection],
    filling: frozenset[Relation],
    shapes: Mapping[Relation, Table],
) -> dict[str, Awaited | None]:
    """Find the foreign keys that are decided by what will have come when this backfill has its turn.

    A table that is not there and that only later backfills fill has no row by then; one that nobody fills may get
    rows from the revision that makes it.
    """
    found: dict[str, Awaited | None] = {}
    for place, key in enumerate(() if target is None else target.foreign_keys, 1):
        live = inventory.table(conn, key.references)
        earlier = [one for one in coming if one.target.relation == key.references]
        if live is None and not earlier and key.references in filling:
            found[key.name] = None
        elif earlier and _is_foreseen(key, earlier) and _is_settled(live, shapes.get(key.references), key):
            found[key.name] = Awaited(place=place, key=key, stands=live is not None)
    return found


def _is_foreseen(key: ForeignKey, earlier: Sequence[Projection]) -> bool:
    """Say whether earlier backfills decide what a key can point at: they fill these columns, or leave them as found."""
    wanted = set(key.referenced_columns)
    return all(
        wanted.isdisjoint(one.backfill.columns) if one.backfill.in_place else wanted <= set(one.backfill.columns)
        for one in earlier
    )


def _is_settled(live: Table | None, wanted: Table | None, key: ForeignKey) -> bool:
    """Say whether the columns pointed at are as they will be."""
    if live is None:
        return True
    pairs = [(live.column(name), (wanted or live).column(name)) for name in key.referenced_columns]
    return all(here and there and here.type.name == there.type.name for here, there in pairs)


def _targets(coming: Sequence[Projection]) -> frozenset[Relation]:
    return frozenset(one.target.relation for one in coming)


def _unready(conn: Connection, target: Table | None, filling: frozenset[Relation]) -> frozenset[Relation]:
    """List the tables that cannot decide a foreign key: not there yet, or still to be filled by this change."""
    wanted = frozenset(one.references for one in (() if target is None else target.foreign_keys))
    return (wanted - inventory.present(conn, wanted)) | filling
