"""H107: transactions that see an old snapshot after a later switch (PostgreSQL 13.2)."""

from __future__ import annotations

from migrator.database.server import ServerFacts
from migrator.model.step import Hazard


def find(server: ServerFacts) -> list[Hazard]:
    """Warn where READ COMMITTED is not the default."""
    if server.isolation == "read committed":
        return []
    return [
        Hazard(
            id="H107",
            what=f"transactions of {server.user} are {server.isolation} by default; a later switch is exact for"
            " READ COMMITTED only",
            cure=f"ALTER ROLE {server.user} SET default_transaction_isolation = 'read committed'",
        )
    ]
