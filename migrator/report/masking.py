"""Masking: what nobody should read over a shoulder or in a log is hidden wherever text leaves the process.

Hidden are e-mail addresses, passwords and query strings of URLs, tokens that are known by their
form, and the values of columns that are marked secret or named like a secret. Masking a masked
text changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final, TypeVar, cast

HIDDEN: Final = "***"
EMAIL: Final = "…@…"

# Columns whose values are hidden whatever the project says.
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:pass(?:word|wd|phrase)?|secret|token|api_?key|access_?key|private_?key|"
    r"credentials?|authorization)(?:$|_(?:hash|digest|value|encrypted|md5|sha\d*|salt|bcrypt|argon2\w*)$)",
    re.IGNORECASE,
)

# A text is read once from left to right. The look-behinds keep that linear, and since an address is
# tried before a token, no token can take the beginning of one and leave its end to be read.
_PATTERNS: Final = {
    "url": r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>`,;]+(?:[,;][^\s\"'<>`,;]+)*",
    "email": r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+",
    "jwt": r"\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?",
    "token": r"\b(?-i:(?:gh[pousr]_|github_pat_|glpat-|xox[abpr]-|[sr]k_live_|[sr]k_test_|npm_)[\w-]{8,}"
    r"|sk-(?=[\w-]*\d)[\w-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{12,})",
    "bearer": r"\b(?P<scheme>bearer|basic)\s+[^\s,;'\"]{8,}",
    "keyword": r"(?P<name>\b\w*(?:password|passwd|passphrase|secret|token|api_?key)\b[\"']?\s*[=:]\s*)"
    r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s,;&'\"(){}\[\]]+)",
}


def _any_of(*kinds: str) -> re.Pattern[str]:
    tests = (f"(?P<{kind}>{_PATTERNS[kind]})" for kind in kinds)
    return re.compile("|".join(tests), re.IGNORECASE)


_ANY = _any_of(*_PATTERNS)
_IN_URL = _any_of("email", "jwt", "token", "keyword")
_PARTS = re.compile(r"(?P<scheme>[^:]+://)(?P<rest>[^?#]*)(?P<query>[?#].*)?", re.DOTALL)
_OF_POSTGRESQL: Final = frozenset({"postgresql://", "postgres://"})
_OPEN: Final = frozenset(
    {"host", "hostaddr", "port", "dbname", "user", "sslmode", "connect_timeout", "application_name"}
    | {"target_session_attrs"}
)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Masker:
    """What is hidden in one run: `columns` by name, and nothing at all with `reveal`."""

    columns: frozenset[str] = frozenset()
    reveal: bool = False

    def text(self, said: str) -> str:
        """Hide what is secret in a text."""
        return said if self.reveal else masked_text(said)

    def value(self, given: Value) -> Value:
        """Hide what is secret in a value, its fields and all that is inside them."""
        return given if self.reveal else cast("Value", self._masked(given))

    def is_secret(self, column: str) -> bool:
        """Say whether the values of a column are hidden."""
        return column in self.columns or _SECRET_NAME.search(column) is not None

    def _masked(self, given: Any) -> Any:
        if isinstance(given, str):
            # A member of an enumeration is a word of ours, and stays a member.
            return masked_text(given) if type(given) is str else given
        if isinstance(given, Mapping):
            return {self._masked(name): self._entry(name, one) for name, one in given.items()}
        if is_dataclass(given) and not isinstance(given, type):
            return self._fields(given)
        if isinstance(given, list | tuple):
            return type(given)(self._masked(one) for one in given)
        return given

    def _entry(self, name: object, given: Any) -> Any:
        secret = isinstance(name, str) and self.is_secret(name) and given is not None
        return HIDDEN if secret else self._masked(given)

    def _fields(self, given: Any) -> Any:
        """Mask a dataclass; one that has a `column` hides its other texts when that is secret."""
        column = getattr(given, "column", None)
        secret = isinstance(column, str) and self.is_secret(column)
        changed = {}
        for field in fields(given):
            was = getattr(given, field.name)
            hide = secret and field.name != "column" and isinstance(was, str)
            now = HIDDEN if hide else self._masked(was)
            if now != was:
                changed[field.name] = now
        return replace(given, **changed) if changed else given


def masked_text(said: str) -> str:
    """Hide e-mail addresses, passwords and query strings of URLs, and tokens."""
    return _ANY.sub(_masked_match, said)


def _masked_match(found: re.Match[str]) -> str:
    kind = next(kind for kind in _PATTERNS if found.re.groupindex.get(kind) and found[kind])
    match kind:
        case "url":
            return _masked_url(found[0])
        case "bearer":
            return f"{found['scheme']} {HIDDEN}"
        case "keyword":
            return f"{found['name']}{HIDDEN}"
        case "email":
            return EMAIL
        case _:
            return HIDDEN


def _masked_url(url: str) -> str:
    parts = _PARTS.fullmatch(url)
    if parts is None:
        return HIDDEN
    login, at, place = _split_login(parts["rest"])
    user, colon, password = login.partition(":")
    user = _IN_URL.sub(_masked_match, user)
    login = f"{user}{colon}{HIDDEN if password else ''}" if at else ""
    place = _IN_URL.sub(_masked_match, place)
    return f"{parts['scheme']}{login}{at}{place}{_masked_query(parts['scheme'], parts['query'] or '')}"


def _masked_query(scheme: str, query: str) -> str:
    """Hide a query string; of a database's address stay the words that say where it is, so that it can be used."""
    if len(query) < 2:  # noqa: PLR2004 -- nothing behind its sign
        return query
    pairs = [one.partition("=") for one in query[1:].split("&")]
    if scheme.lower() in _OF_POSTGRESQL and query[0] == "?" and all(name in _OPEN for name, _, _ in pairs):
        return _IN_URL.sub(_masked_match, query)
    return f"{query[0]}{HIDDEN}"


def _split_login(rest: str) -> tuple[str, str, str]:
    """Part a login from its host; a bare @ or / of a password belongs to the login, to be safe."""
    authority = rest.partition("/")[0]
    _, colon, port = authority.partition(":")
    if "@" in authority or (colon and not port.isdecimal()):
        login, at, place = rest.rpartition("@")
        return login, at, place
    return "", "", rest
