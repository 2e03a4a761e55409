"""Image → Job: one preview job is ordered for every image that has no preview and for which none is on its way."""

from ._photos import ordering

backfill = ordering("PREVIEW_GENERATION", asset="previewPath", called="preview")
