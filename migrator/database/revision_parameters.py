"""How a revision reads a parameter of its change, under the tool and under `alembic` by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from alembic import context
from alembic.util import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = TypeVar("Value", bool, int, str)

PREFIX = "param."
TRUTHS = {"true": True, "yes": True, "on": True, "1": True}
LIES = {"false": False, "no": False, "off": False, "0": False}


def parameter(name: str, default: Value) -> Value:
    """Return the parameter as the default's type, or the default when it was not given."""
    given = given_parameters().get(name)
    return default if given is None else _as_type_of(default, name, given)


def given_parameters() -> Mapping[str, object]:
    """Return what the tool handed over, or what `-x param.NAME=VALUE` says without it."""
    handed_over = context.config.attributes.get("parameters")
    if handed_over is not None:
        return cast("Mapping[str, object]", handed_over)
    arguments = context.get_x_argument(as_dictionary=True)
    return {key.removeprefix(PREFIX): value for key, value in arguments.items() if key.startswith(PREFIX)}


def _as_type_of(default: Value, name: str, given: object) -> Value:
    kind = type(default)
    # A bool is an int to Python; without the exact comparison `true` would pass for a number.
    if type(given) is kind:
        return given
    try:
        return _truth(given) if kind is bool else kind(str(given))
    except (KeyError, ValueError):
        message = f"Parameter {name} is {given!r}, which is not a {kind.__name__}."
        raise CommandError(message) from None


def _truth(given: object) -> bool:
    return (TRUTHS | LIES)[str(given).lower()]
