"""The bucket of the documented photo restoration in the store of the tests, and its change with that bucket."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from migrator.demo import buckets
from migrator.demo.jobs_and_attempts import BUCKET, fates, media
from migrator.engine.objects import Pool
from migrator.ledger.quarantine import Selection
from migrator.model.objects import ObjectName
from migrator.model.step import Report, State
from migrator.project.config import S3Table
from migrator.workflow import housekeeping, use_cases
from migrator.workflow.desk import Desk
from tests.support.objects import Objects
from tests.support.projects import execute, rows_of, silent
from tests.support.restoration import CHANGE, NOTE, desk_on, waiting

URLS = ("original_image_url", "processed_image_url")
ENDINGS = ("jpg", "png", "webp", "heic")  # in the order in which the new application tries them


def in_bucket(url: str, bucket: str) -> str:
    """Let the URLs of a legacy database that name a bucket name this one."""
    columns = ", ".join(f"{one} = replace({one}, '{BUCKET}', '{bucket}')" for one in URLS)
    execute(url, f"UPDATE restoration_jobs SET {columns} WHERE concat({', '.join(URLS)}) ~ '{BUCKET}'")
    return url


def filled(objects: Objects, bucket: str) -> dict[str, buckets.Held]:
    """Fill a bucket with the pictures of the legacy rows, and look at all of it."""
    buckets.fill(objects.store, bucket, media())
    return buckets.contents(objects.store, bucket)


def desk_with(url: str, objects: Objects, bucket: str, **params: str) -> Desk:
    """Open the documented change on a database, with [s3] naming a bucket, and the wish to copy objects."""
    desk = desk_on(url, **{"copy_objects": "true", **params})
    table = S3Table(endpoint=objects.endpoint, region=objects.storage.region, bucket=bucket)
    config = desk.project.config.model_copy(update={"s3": table})
    return replace(desk, project=replace(desk.project, config=config))


def settle(desk: Desk) -> Report:
    """Apply the change with its objects; dismiss by name exactly what is planted to wait; apply it to its proof."""
    report = use_cases.apply(desk, listen=silent)
    assert False is report.proven
    planted = {name: dict(one.quarantined) for name, one in fates(objects=True).items() if one.quarantined}
    assert planted == waiting(report)
    housekeeping.quarantine_dismiss(desk, Selection(change=CHANGE), NOTE)
    report = use_cases.apply(desk, listen=silent)
    assert (State.VERIFIED, True) == (report.state, report.proven)
    return report


def copied_by_a_script(objects: Objects, bucket: str, url: str) -> dict[str, str]:
    """Copy the originals as a quick script does: the path of the URL as it is, its ending, and whatever is there.

    Gives what went wrong, by the id of the row.
    """
    wrong = {}
    for job, original in rows_of(url, "SELECT id::text, original_image_url FROM restoration_jobs"):
        path = urlsplit(original).path.lstrip("/").removeprefix(f"{bucket}/")
        ending = path.rpartition(".")[2]
        try:
            objects.client.copy_object(
                Bucket=bucket, Key=f"processed/{job}.{ending}", CopySource={"Bucket": bucket, "Key": path}
            )
        except ClientError as error:
            wrong[job] = error.response["Error"]["Code"]
    return wrong


def unanswered(objects: Objects, bucket: str, keys: Iterable[str]) -> list[str]:
    """Ask by HEAD for the object under each key, and give the keys under which there is none."""
    named = {key: ObjectName(bucket, key) for key in keys}
    found = {one.name.key: one.found for one in Pool(objects.store).look(named.values())}
    return [key for key in named if found[key] is None]


def probed(keys: set[str], job: str) -> str | None:
    """Find the original of a job as the new application does; None where it finds nothing."""
    return next((key for ending in ENDINGS if (key := f"processed/{job}.{ending}") in keys), None)
