"""What the backfills of restoration_jobs share: whose a job is, when it was, what became of it, where its pictures are.

Every row becomes one job and one attempt, whatever became of it: nothing of the old row is lost. What is old is told
from the newest row; no clock is read.
"""

from __future__ import annotations

from migrator.model import File, Table, given, param, rule, rules, sql
from migrator.model.expressions import Expression, Rules, Sql

IDENTITY_MAP = param("identity_map", File, help="the subject of a user (sub) as user_id has it, and the user's e-mail")
IDENTITY_TABLE = param("identity_table", Table, help="a table or view that has the same: subjects, and addresses")
PLACEHOLDER = param(
    "placeholder_email",
    help="the e-mail address of jobs whose user nobody can name any more",
    fits=r"[^@\s]+@[^@\s]+",
    example="nobody@localhost",
)
STALE_AFTER = param(
    "stale_after",
    help='how long a job may take before it has failed, for example "24 hours"',
    fits="[0-9]{1,6} (second|minute|hour|day|week)s?",
    example="24 hours",
)
COPY_OBJECTS = param(
    "copy_objects",
    bool,
    default=False,
    help="copy the pictures to the keys of the new application, in the bucket of [s3]",
)
MODEL = param(
    "legacy_model",
    default="comfyui_legacy",
    help="what the old restorations are called in model",
    fits=r"\S(.*\S)?",
    example="comfyui_legacy",
)

BLANKS = r"E' \t\r\n'"


# Whose a job is. The subject of a login is nobody's address, and addresses are compared by folded letters.


def folded(address: Expression) -> Sql:
    """Write an address as the application compares it; one that is blank is none."""
    return sql(f"NULLIF(lower(btrim({{address}}, {BLANKS})), '')", address=address)


EMAIL = folded(
    sql("coalesce({file}, {table})", file=given(IDENTITY_MAP, by="user_id"), table=given(IDENTITY_TABLE, by="user_id"))
)
PLACEHOLDER_EMAIL = folded(given(PLACEHOLDER))
OWNER = sql("coalesce({mapped}, {placeholder})", mapped=EMAIL, placeholder=PLACEHOLDER_EMAIL)

NOBODY = {
    "no identity map names its user": sql("{owner} IS NULL", owner=OWNER),
    "the address of its user is no e-mail address": sql("{owner} !~ '^[^@[:space:]]+@[^@[:space:]]+$'", owner=OWNER),
    "nobody recorded when it was made": sql("coalesce(created_at, updated_at) IS NULL"),
}

# What became of it. Databases made by the ORM have the words in upper case.

STATUS = "lower(status::text)"
COMPLETED = sql(f"{STATUS} = 'completed'")
ENDED = sql(f"{STATUS} IN ('completed', 'failed')")

# The newest row is looked up once for each statement.
GIVEN_UP = sql(
    f"{STATUS} IN ('pending', 'processing') AND coalesce(created_at, updated_at) <"
    " (SELECT max(coalesce(newest.created_at, newest.updated_at)) FROM restoration_jobs AS newest)"
    " - {after}::interval",
    after=STALE_AFTER,
)
ERROR = sql(
    f"CASE WHEN {{given_up}} THEN concat_ws('; ', NULLIF(error_message, ''), 'still ' || {STATUS} || ' more than '"
    " || {after} || ' before the newest job') ELSE NULLIF(error_message, '') END",
    given_up=GIVEN_UP,
    after=STALE_AFTER,
)

# Where its pictures are: the key of an object in every form of URL that was ever stored.

S3_HOST = r"s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?(?::[0-9]+)?"
HOST = "^https?://[^/]+/+"
#: By name: how a form is recognised, and what stands before the key. The first that fits counts.
FORMS = {
    "s3://bucket/key": ("^s3://[^/?#]+/", "^s3://[^/]+/+"),
    "URL of S3 with the bucket in its path": (f"^https?://{S3_HOST}/[^/?#]+/", "^https?://[^/]+/+[^/]+/+"),
    "URL of S3 with the bucket in its host": (rf"^https?://[^/?#]+\.{S3_HOST}/", HOST),
    "URL of CloudFront": (r"^https?://[^/?#]+\.cloudfront\.net(:[0-9]+)?/", HOST),
    "URL of another host": (r"^https?://(?![^/?#]*amazonaws\.com)[^/?#]+/", HOST),
    "key alone": (r"^(?![a-z][a-z0-9+.-]*:|/|[^/?#]*\.(cloudfront\.net|amazonaws\.com)([:/]|$))", "^"),
}

#: The forms that name a bucket, and where they name it; in all others it is the one of [s3].
IN_BUCKETS = {
    "s3://bucket/key": "^s3://([^/?#]+)/",
    "URL of S3 with the bucket in its path": rf"^https?://{S3_HOST}/([^/?#]+)/",
    "URL of S3 with the bucket in its host": rf"^https?://([^/?#]+)\.{S3_HOST}/",
}


_MORE = "[89ab][0-9a-f]"
#: The octets of a UTF-8 text without NUL, in hexadecimal digits.
UTF_8 = (
    f"^(0[1-9a-f]|[1-7][0-9a-f]|(c[2-9a-f]|d[0-9a-f]){_MORE}|e0[ab][0-9a-f]{_MORE}|(e[1-9a-cef]{_MORE}|ed[89][0-9a-f])"
    f"{_MORE}|(f0[9ab][0-9a-f]|f[123]{_MORE}|f48[0-9a-f]){_MORE}{_MORE})*$"
)


def picture(name: str) -> str:
    """Write a column that names a picture, without the blanks around it."""
    return f"btrim({name}, {BLANKS})"


def path(name: str, form: str) -> Sql:
    """Take away what stands before the key; of a URL also its query, such as a signature."""
    query = "" if form == "key alone" or form.startswith("s3:") else "[?#].*$"
    said = f"regexp_replace({picture(name)}, '{query}', '')" if query else picture(name)
    return sql(f"regexp_replace({said}, '{FORMS[form][1]}', '', 'i')")


def decoded(text: Sql | Rules) -> Sql:
    """Replace percent escapes by what they stand for; a text whose escapes are no UTF-8 stays as it is."""
    return sql(
        f"""(SELECT CASE WHEN octets.hex ~ '{UTF_8}' THEN convert_from(decode(octets.hex, 'hex'), 'UTF8')
            ELSE given.said END
        FROM (SELECT ({{text}})::text AS said OFFSET 0) AS given CROSS JOIN LATERAL (
            SELECT string_agg(coalesce(lower(part[1]), encode(convert_to(part[2], 'UTF8'), 'hex')), '' ORDER BY place)
            FROM regexp_matches(given.said, '%([0-9A-Fa-f]{{2}})|(%|[^%]+)', 'g') WITH ORDINALITY AS parts(part, place)
            WHERE strpos(given.said, '%') > 0) AS octets(hex))""",
        text=text,
    )


def key(said: Sql | Rules) -> Sql:
    """Make the key of a path: decoded twice, for some were encoded twice, and without a query that was encoded too."""
    return _plain(sql("split_part({twice}, '?', 1)", twice=decoded(_decoded_once(said))))


def as_it_stands(said: Sql | Rules) -> tuple[Sql, Sql]:
    """Give the keys that a path means where a key itself holds an escape: decoded once, and not at all."""
    return _plain(_decoded_once(said)), _plain(said)


def _decoded_once(said: Sql | Rules) -> Sql:
    return sql("split_part({once}, '?', 1)", once=decoded(said))


def _plain(path: Sql | Rules) -> Sql:
    return sql(
        "(SELECT NULLIF(found.key, '') FROM (SELECT ltrim({path}, '/') AS key OFFSET 0) AS found"
        " WHERE strpos(found.key, '://') = 0)",
        path=path,
    )


def recognised(name: str, form: str) -> Sql:
    """Hold where a column names a picture in this form."""
    return sql(f"{picture(name)} <> '' AND {picture(name)} ~* '{FORMS[form][0]}'")


def bucket(name: str) -> Sql:
    """Find the bucket in which a column says that its picture is; NULL where it names none."""

    def named(form: str) -> str:
        found = f"(regexp_match({picture(name)}, '{IN_BUCKETS[form]}', 'i'))[1]"
        return f"lower({found})" if form.endswith("host") else found

    arms = " ".join(f"WHEN {picture(name)} ~* '{FORMS[form][0]}' THEN {named(form)}" for form in IN_BUCKETS)
    return sql(f"CASE {arms} END")


PROCESSED_KEY = key(
    rules(
        "processed picture",
        *(
            rule(form, when=recognised("processed_image_url", form), value=path("processed_image_url", form))
            for form in FORMS
        ),
    )
)

# Of these no row says by which form it was found: the original is kept as it was, too.
_ARMS = {f"form{place}": form for place, form in enumerate(FORMS)}


def plain_key(name: str) -> Sql:
    """Find the key of the picture that a column names, and say nothing of its form; NULL where there is none."""
    return key(plain_path(name))


def plain_path(name: str) -> Sql:
    """Find the path of the picture that a column names, in whatever form."""
    return sql(
        f"CASE {' '.join(f'WHEN {{{arm}}} THEN {{path_of_{arm}}}' for arm in _ARMS)} END",
        **{arm: recognised(name, form) for arm, form in _ARMS.items()},
        **{f"path_of_{arm}": path(name, form) for arm, form in _ARMS.items()},
    )


def _finished(key: Sql) -> Sql:
    return sql("CASE WHEN {completed} THEN {key} END", completed=COMPLETED, key=key)


ORIGINAL_KEY = plain_key("original_image_url")
FINISHED_KEY = _finished(plain_key("processed_image_url"))
# Where there is no such object the key itself may hold an escape.
ORIGINAL_AS_IT_STANDS = as_it_stands(plain_path("original_image_url"))
FINISHED_AS_IT_STANDS = tuple(map(_finished, as_it_stands(plain_path("processed_image_url"))))

# In which bucket they are; NULL is the one of [s3].
FINISHED_BUCKET = bucket("processed_image_url")
ORIGINAL_BUCKET = bucket("original_image_url")
