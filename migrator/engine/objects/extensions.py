"""What a key ends in: what the content type asks for, and only where that says nothing what it ended in before."""

from __future__ import annotations

from typing import Final

from migrator.model.moved_objects import own_extension

BY_TYPE: Final = {
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
    "image/heic": ".heic",
    "image/heif": ".heif",
    "image/tiff": ".tif",
    "image/bmp": ".bmp",
    "image/svg+xml": ".svg",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "application/pdf": ".pdf",
    "application/json": ".json",
    "application/zip": ".zip",
    "text/plain": ".txt",
    "text/csv": ".csv",
}


def extension(content_type: str | None, key: str) -> str:
    """Give the extension of an object with its dot, in lower case; nothing where neither type nor key tells it."""
    return BY_TYPE.get((content_type or "").partition(";")[0].strip().lower()) or own_extension(key)
