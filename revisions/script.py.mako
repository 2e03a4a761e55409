"""${message}."""

from __future__ import annotations

from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}

# DDL only: rows are moved by a backfill. A revision adds (expand) or removes (contract), never
# both, and `downgrade` drops exactly what `upgrade` made, in reverse.

UPGRADE: tuple[str, ...] = ()

DOWNGRADE: tuple[str, ...] = ()


def upgrade() -> None:
    """${message}."""
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Take away what `upgrade` made."""
    for statement in DOWNGRADE:
        op.execute(statement)
