"""H120 to H122: what follows an archived table, what says its old name, and what sends its changes on.

Views, foreign keys, publications and BEGIN ATOMIC functions know a table by its number. Bodies of other functions know
it by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from migrator.database import dependents
from migrator.database.connect import Connection
from migrator.model.names import Relation
from migrator.model.step import Hazard


def find(conn: Connection, relations: Sequence[Relation]) -> Iterator[Hazard]:
    """Name what follows each table by its number, and what will break because it says the name."""
    for relation in relations:
        if following := dependents.following(conn, relation):
            yield Hazard(
                id="H120",
                what=f"{', '.join(following)} follow {relation} under its new name, and lose what others were granted",
                cure="move them to the new tables first, or drop them where nobody needs them",
            )
        word = re.compile(rf"(?<![\w$]){re.escape(relation.name)}(?![\w$])")
        saying = [name for name, body in dependents.bodies(conn, relation.name) if word.search(body)]
        if saying:
            yield Hazard(
                id="H121",
                what=f"{', '.join(saying)} say {relation} in their text and will not find it",
                cure="change or drop them first; a table made later under the old name would be taken instead",
            )
        if queues := dependents.subscribed(conn, relation):
            yield Hazard(
                id="H122",
                what=f"{', '.join(queues)} send the changes of {relation} to subscribers, which look for its old name",
                cure="take the table out of the publication (ALTER PUBLICATION … DROP TABLE)",
            )
