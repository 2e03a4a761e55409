"""Image → Job: one thumbnail job is ordered for every image that has no thumbnail and for which none is on its way."""

from ._photos import ordering

backfill = ordering("THUMBNAIL_GENERATION", asset="thumbnailPath", called="thumbnail", more=',"sizes":[64,128,256,512]')
