"""Copying one object inside the store: never over another one, never from another one than was looked at, proven."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, Final

from migrator.engine.objects import failures
from migrator.engine.objects.failures import RefusalError
from migrator.engine.objects.going import Going, StoppedError
from migrator.engine.objects.look import bare, checksums, look, quoted
from migrator.engine.objects.parts import copy_in_parts
from migrator.engine.objects.remove import remove
from migrator.engine.objects.same import same, told
from migrator.engine.objects.store import Store
from migrator.model.objects import Copied, CopySettings, CopyTask, Evidence, Outcome, StoredObject

CONFLICTS: Final = 4
_OUTCOMES: Final = {
    "InvalidObjectState": Outcome.ARCHIVED,
    "EntityTooLarge": Outcome.TOO_LARGE,
    "KeyTooLongError": Outcome.NO_NAME,
    "AccessDenied": Outcome.DENIED,
}
_BY_STATUS: Final = {
    failures.FORBIDDEN: Outcome.DENIED,
    failures.NOT_FOUND: Outcome.MISSING,
    failures.PRECONDITION: Outcome.REPLACED,
}


def copy(store: Store, task: CopyTask, settings: CopySettings, going: Going) -> Copied:
    """Copy one object, prove the copy, and say what came of it.

    Raises errors of the world only (M252 to M262), and StoppedError.
    """
    if fault := task.source.fault or task.target.fault:
        return Copied(task=task, outcome=Outcome.NO_NAME, detail=fault)
    for attempt in range(CONFLICTS):
        try:
            return _Copy(store, task, settings, going).run()
        except RefusalError as refusal:
            if refusal.status != failures.CONFLICT or attempt == CONFLICTS - 1:
                return Copied(task=task, outcome=outcome_of(refusal), detail=refusal.why)
        going.pause(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311 -- somebody else writes there at this moment
    raise AssertionError


def outcome_of(refusal: RefusalError) -> Outcome:
    """Say a refusal as an outcome."""
    return _OUTCOMES.get(refusal.code) or _BY_STATUS.get(refusal.status, Outcome.REFUSED)


@dataclass(frozen=True, slots=True)
class _Copy:
    """One attempt at one object."""

    store: Store
    task: CopyTask
    settings: CopySettings
    going: Going

    def run(self) -> Copied:
        """Look, copy, prove."""
        source = self.task.seen or look(self.store, self.task.source)
        before = self.store.clock  # told by now, so no later than our request
        if source is None:
            return self._ended(Outcome.MISSING)
        if self.task.source == self.task.target:
            return self._ended(Outcome.THERE, made=source, evidence=Evidence.SAME)
        if source.size > self.settings.largest:
            return self._ended(Outcome.TOO_LARGE, f"{source.size:,} bytes")
        self.going.take(source.size)
        if self.settings.look_first and look(self.store, self.task.target) is not None:
            return self._in_the_way(self.task, source)
        try:
            answer, left = self._made(source)
        except RefusalError as refusal:
            if refusal.status == failures.PRECONDITION or refusal.code == "NoSuchUpload":
                # Where the request was repeated, it may be its own first attempt that stands in its way.
                mine = self.task.since or (before or self.store.clock if refusal.retried else None)
                return self._in_the_way(replace(self.task, since=mine), source)
            raise
        return self._proven(source, answer, left)

    def _made(self, source: StoredObject) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Copy in the way that the size asks for; without the tags where we have no right to them."""
        if source.size > self.settings.parts_over:
            return self._made_in_parts(source)
        try:
            return self._at_once(source), ()
        except RefusalError as refusal:
            if refusal.status != failures.FORBIDDEN or refusal.code not in {"AccessDenied", ""}:
                raise
        return self._at_once(source, TaggingDirective="REPLACE", Tagging=""), ("tags",)

    def _at_once(self, source: StoredObject, **more: str) -> dict[str, Any]:
        """Copy by one request; the store keeps content, headers and metadata, and the storage class as it is told."""
        if source.storage_class != "STANDARD":
            more["StorageClass"] = source.storage_class
        target = self.task.target
        return self.store.call(
            "copy_object",
            Bucket=target.bucket,
            Key=target.key,
            CopySource={"Bucket": source.name.bucket, "Key": source.name.key},
            CopySourceIfMatch=quoted(source.etag),
            IfNoneMatch="*",
            **more,
        )

    def _made_in_parts(self, source: StoredObject) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Copy part by part, unless something stands at the target, which only the last request would find out."""
        whole = look(self.store, self.task.source) if self.task.seen else source
        if whole is None or whole.etag != source.etag or look(self.store, self.task.target) is not None:
            raise RefusalError(status=failures.PRECONDITION, code="", said="", operation="copy in parts", retried=False)
        return copy_in_parts(self.store, self.task, whole, self.settings, self.going)

    def _in_the_way(self, task: CopyTask, source: StoredObject) -> Copied:
        """Find out which of the two conditions did not hold, and what stands at the target."""
        now, there = look(self.store, task.source), look(self.store, task.target)
        if now is None:
            return self._ended(Outcome.MISSING)
        if there is None:
            changed = now.etag != source.etag
            return self._ended(
                Outcome.REPLACED if changed else Outcome.REFUSED, "" if changed else "a condition failed"
            )
        evidence = same(self.store, now, there, self.going, read=self.settings.read_to_prove)
        ours = task.since is not None and there.modified is not None and there.modified >= task.since
        if evidence is None or (evidence is Evidence.SIZE and not ours):
            return self._ended(Outcome.OCCUPIED, f"{there.size:,} bytes there, {now.size:,} at the source")
        return self._ended(Outcome.COPIED if ours else Outcome.THERE, made=there, evidence=evidence)

    def _proven(self, source: StoredObject, answer: dict[str, Any], left: tuple[str, ...]) -> Copied:
        """Hold the copy against its source; one that cannot be proven is removed again."""
        result = answer.get("CopyObjectResult", answer)
        made = StoredObject(
            name=self.task.target,
            size=source.size,
            etag=bare(result.get("ETag")),
            modified=result.get("LastModified"),
            version=answer.get("VersionId"),
            checksums=checksums(result),
        )
        _, evidence = told(source, made)
        if evidence is not None:
            return self._ended(Outcome.COPIED, made=made, evidence=evidence, left=left)
        outcome, detail = Outcome.DIFFERS, ""
        try:
            whole, there = look(self.store, self.task.source), look(self.store, self.task.target)
            if whole is None or whole.etag != source.etag:
                outcome = Outcome.REPLACED
            elif there is not None and there.etag == made.etag:
                evidence = same(self.store, whole, there, self.going, read=self.settings.read_to_prove)
                if evidence is not None:
                    return self._ended(Outcome.COPIED, made=there, evidence=evidence, left=left)
        except StoppedError:
            remove(self.store, made)
            raise
        except RefusalError as refusal:
            outcome = Outcome.REPLACED if refusal.status == failures.PRECONDITION else Outcome.REFUSED
            detail = refusal.why
        removed = remove(self.store, made).removal
        return self._ended(outcome, f"{detail} the copy: {removed.value}".strip())

    def _ended(
        self,
        outcome: Outcome,
        detail: str = "",
        *,
        made: StoredObject | None = None,
        evidence: Evidence | None = None,
        left: tuple[str, ...] = (),
    ) -> Copied:
        return Copied(task=self.task, outcome=outcome, detail=detail, made=made, evidence=evidence, left=left)
