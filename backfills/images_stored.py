"""Image, in place and only where asked for: what is PROCESSING although both of its assets are there is finished.

The preview came before the thumbnail, and nobody looked again.
"""

from migrator.model import Backfill, param, sql

from ._photos import TERMINAL

BOTH = "to_jsonb(\"Image\") ->> 'thumbnailPath' IS NOT NULL AND to_jsonb(\"Image\") ->> 'previewPath' IS NOT NULL"

backfill = Backfill(
    source="Image",
    key="id",
    target="Image",
    only_if=param("repair_stored", bool, default=False, help="finish images that wait although both assets are there"),
    skip={"it is not stuck": sql(f"NOT (status::text = 'PROCESSING' AND {BOTH})")},
    columns={"status": sql("btrim(split_part({terminal}, ',', 1))", terminal=TERMINAL)},
)
