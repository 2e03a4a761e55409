"""Names that people give, and names that would meet ours, those of SQL or those of a placeholder."""

from __future__ import annotations

from hypothesis import strategies as st

from migrator.model.names import quote

AWKWARD = (
    "Orders", "camelCase", "two words",
    " lead", "trail ", 'a "quoted" one', "it's", "100%", "%s", "%(x)s", ":x", "::int",
    "$1", "$$", "$tag$", "a.b", "back\\slash",
    "\\x41", "select", "order", "user", "table", "ünïcødé", "表", "🙂", "tab\there",
    "line\nbreak", "-- no comment", "/* nor this */", ";", "(", "a,b", "{x}", "[0]", "x" * 63, "ä" * 31,
    "raw", "judged", "p", "t", "ins", "prov", "walked", "~code", "~k1", "~rule", "~fault",
    "~digest", "known", "excluded",
    "key", "value", "held", "holder", "pointed", "candidate", "moved", "ours", "src", "j0", "p0", "q0", "s", "state",
    "code", "reason", "digest", "marks", "kind", "quar", "taken", "t1", "k1", "s1", "hex", "fired", "recognised",
    "raised", "source", "target", "behind", "whole", "old", "new", "counted", "described", "definition", "missing",
)  # fmt: skip
# Columns of every table, which nobody can name so.
SYSTEM = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})


def name() -> st.SearchStrategy[str]:
    """Draw a name."""
    letters = st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\0")
    anything = st.text(letters, min_size=1, max_size=12).filter(lambda one: len(one.encode()) <= 63)
    return st.one_of(st.sampled_from(AWKWARD), anything).filter(
        lambda one: one not in SYSTEM and not one.startswith(("pg_", "~migrator"))
    )


def declared(schema: str, table: str) -> str:
    """Write the name of a table as a definition says it."""
    return f"{quote(schema)}.{quote(table)}"
