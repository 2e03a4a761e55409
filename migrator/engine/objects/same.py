"""Whether two objects have the same content: by what the store knows of both, else by reading them."""

from __future__ import annotations

import hashlib
from typing import Final

from migrator.engine.objects.going import Going
from migrator.engine.objects.look import quoted
from migrator.engine.objects.store import Store
from migrator.model.errors import WorldError
from migrator.model.objects import Evidence, StoredObject

STRONG: Final = ("SHA256", "SHA512", "CRC64NVME")
READS: Final = 3  # attempts; an answer that breaks off cannot be tried again half-way


def told(one: StoredObject, other: StoredObject) -> tuple[bool, Evidence | None]:
    """Say whether what the store knows leaves it possible that two objects are equal, and by what they surely are.

    ETags of objects uploaded in parts prove nothing, and different ones of encrypted objects neither.
    """
    shared = [name for name in one.checksums if name in other.checksums]
    if one.size != other.size or any(one.checksums[name] != other.checksums[name] for name in shared):
        return False, None
    if any(name in STRONG for name in shared):
        return True, Evidence.CHECKSUM
    return True, Evidence.MD5 if one.digest and one.digest == other.digest else None


def same(store: Store, one: StoredObject, other: StoredObject, going: Going, *, read: bool) -> Evidence | None:
    """Say by what two objects are equal in content; None where they are not.

    Both are read where nothing else tells and `read` allows it; otherwise their sizes are all there is. Raises
    RefusalError, also where one of them is no longer what was looked at.
    """
    possible, evidence = told(one, other)
    if evidence or not possible:
        return evidence
    if not read:
        return Evidence.SIZE
    return Evidence.READ if sha256(store, one, going) == sha256(store, other, going) else None


def sha256(store: Store, stored: StoredObject, going: Going) -> str:
    """Read an object and give the sha256 of its content, provided that it is still the one that was looked at."""
    for attempt in range(READS):
        digest = hashlib.sha256()
        try:
            for chunk in store.content(stored.name, IfMatch=quoted(stored.etag)):
                going.check()
                digest.update(chunk)
        except WorldError:
            if attempt == READS - 1:
                raise
        else:
            break
    return digest.hexdigest()
