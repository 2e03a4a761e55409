"""The verbs of objects on the documented photo restoration: foretold, copied, looked at, documented, and back."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from migrator.demo import buckets
from migrator.demo.jobs_and_attempts import planted_media
from migrator.model.step import Phase
from migrator.workflow import objects as work
from migrator.workflow import objects_meta, objects_orphans
from migrator.workflow.objects_orphans import Asked
from tests.support.media import desk_with, filled, in_bucket, settle
from tests.support.projects import back, execute, run, silent
from tests.support.restoration import expanded, legacy, scalar

if TYPE_CHECKING:
    from tests.support.objects import Objects


@pytest.mark.soak
def test_each_verb_says_what_is_so_and_all_of_it_goes_back(database: str, objects: Objects) -> None:
    """What plan foretells is what copy does; nothing of it is an orphan; after rollback the bucket is as it was."""
    legacy(database)
    bucket = objects.bucket()
    before = filled(objects, bucket)
    desk = desk_with(in_bucket(database, bucket), objects, bucket)
    foretold = sum((Counter(one.foretold) for one in work.plan(desk, listen=silent)), Counter[str]())
    planted = planted_media()
    assert foretold["object missing"] == planted.without_picture + planted.without_original
    assert (planted.there_already, planted.taken) == (
        foretold["there already"],
        foretold["another object holds this key"],
    )
    run(desk, to=Phase.EXPAND)
    (copied,) = work.copy(desk, listen=silent).steps
    assert dict(copied.detail) == {"copied": foretold.pop("to be copied"), **foretold}
    settle(desk)
    (written,) = objects_meta.meta(desk, listen=silent)
    assert (written.proven, written.documents) == (True, scalar(database, "SELECT count(*) FROM jobs"))
    checked = work.verify(desk, listen=silent)
    assert [one.name for one in checked if one.proven] == ["meta", "original", "picture"]
    found = objects_orphans.orphans(desk, Asked(), listen=silent)
    assert {one.prefix for one in found.scopes} == {"meta/", "processed/", "restored/"}
    assert (found.orphans.objects, found.unmet.objects, found.unasked) == (0, 0, {})
    assert found.listed.objects >= sum(one.looked_at for one in checked)
    back(desk)
    assert buckets.contents(objects.store, bucket) == before


def test_what_the_new_application_keeps_by_convention_is_no_orphan(database: str, objects: Objects) -> None:
    """It holds no key of an original or a document: it finds them by the id of a job, whose row names them so."""
    expanded(database)
    bucket = objects.bucket()
    desk = desk_with(database, objects, bucket)
    job = "7d1f0b52-6a56-4a8e-9df1-25b6f1f0a111"
    columns = "INSERT INTO jobs (id, email, created_at) VALUES"
    execute(database, f"{columns} ('{job}', 'somebody@example.com', now())")
    for key in (f"processed/{job}.heic", f"meta/{job}.json", "processed/nobody.jpg", "meta/nobody.json"):
        objects.client.put_object(Bucket=bucket, Key=key, Body=b"content")
    found = objects_orphans.orphans(desk, Asked(), listen=silent)
    assert [one.key for one in found.examples] == ["meta/nobody.json", "processed/nobody.jpg"]
