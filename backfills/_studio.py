"""What all backfills of the studio share: owners, stored files, and jobs whose end nobody recorded.

All of it is off unless a parameter asks for it, and none of it reads a clock: what is old is told from the newest row.
"""

from migrator.model import File, column, contains, flagged, given, lookup, missing, param, sql
from migrator.model.expressions import Array, Expression, Flagged, Missing, Sql

USER_MAP = param("user_map", File, help="the old id of a job, and the id of the user who owns it")
USER_MAP_BY_IP = param("user_map_by_ip", File, help="an address as the old table has it, and the id of its user")
STALE_AFTER = param(
    "stale_after",
    help="how long a job may take before it has failed",
    fits="[0-9]{1,6} (second|minute|hour|day|week)s?",
    example="24 hours",
)
STORAGE_URL = param("storage_url", help='where files are for good, for example "https://host/storage/{path}"')

SIGNED = "/object/sign/"


def owner(source: str) -> Missing:
    """Leave the owner open unless a map names the job."""
    return missing(f"{source} never recorded a user", unless=USER_MAP)


def owner_by_address(source: str) -> Missing:
    """Leave the owner open unless a map names the job, or else its address."""
    by_address = given(USER_MAP_BY_IP, by="user_ip")
    return missing(f"{source} never recorded a user", unless=(USER_MAP, by_address))


def stored(url: str | Expression) -> Sql:
    """Write a signed URL anew where storage_url says how; any other URL, and all of them without it, stay."""
    path = "substring(({url})::text from '/object/sign/([^?#]*)')"
    return sql(
        f"CASE WHEN {{template}} IS NOT NULL AND strpos(({{url}})::text, '{SIGNED}') > 0"
        " THEN CASE WHEN strpos({template}, '{path}') > 0 THEN replace({template}, '{path}', "
        f"{path}) ELSE rtrim({{template}}, '/') || '/' || {path} END ELSE {{url}} END",
        url=url,
        template=STORAGE_URL,
    )


def told_of_signed(made: Array, *urls: str | Expression) -> Expression:
    """Flag an array one of whose URLs was signed: kept as it was, or rewritten."""
    tests = " OR ".join(f"coalesce({{url{number}}}, false)" for number in range(len(urls)))
    signed = {f"url{number}": contains(one, SIGNED) for number, one in enumerate(urls)}
    kept = flagged(
        made,
        when=sql(f"({tests}) AND {{template}} IS NULL", template=STORAGE_URL, **signed),
        reason="a signed URL, which stopped working seven days after it was made",
    )
    return flagged(
        kept,
        when=sql(f"({tests}) AND {{template}} IS NOT NULL", template=STORAGE_URL, **signed),
        reason="a signed URL, rewritten as storage_url says",
    )


def given_up(table: str, submitted: str, *running: str) -> Sql:
    """Hold for a job that was submitted long before the newest of the table and has no end; never without stale_after.

    The newest submission is looked up once for each statement, by the index every one of these tables has on it.
    """
    words = ", ".join(f"'{one}'" for one in running)
    newest = f"(SELECT max(newest.{submitted}) FROM {table} AS newest)"
    return sql(
        f"status IN ({words}) AND {submitted} < {newest} - {{after}}::interval",
        after=STALE_AFTER,
    )


def status(words: dict[str | None, str | None], stale: Sql, failed: str) -> Flagged:
    """Translate a status; a job that was given up has failed, and says so."""
    return flagged(
        lookup(sql(f"CASE WHEN {{stale}} THEN '{failed}' ELSE status END", stale=stale), words),
        when=stale,
        reason="no end was recorded within stale_after of the newest job: taken for failed",
    )


def error_message(said: str | Expression, stale: Sql) -> Sql:
    """Keep what was said of an error, and say of a job that was given up why."""
    return sql(
        "CASE WHEN {stale} THEN coalesce({said} || '; ', '') || 'still ' || status || ' more than ' || {after}"
        " || ' before the newest job' ELSE {said} END",
        stale=stale,
        said=column(said) if isinstance(said, str) else said,
        after=STALE_AFTER,
    )
