"""The act of the objects: a bucket beside the database, what the new application finds in it, and that it goes back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from migrator.cli.render.words import columns, fold, number

if TYPE_CHECKING:
    from migrator.cli.demo.stage import Stage
    from migrator.cli.demo.story import Story
    from migrator.cli.run import Run
    from migrator.demo.buckets import Held
    from migrator.engine.objects import Store
    from migrator.servers import S3
    from migrator.workflow.desk import Desk

MOST: Final = 2_000  # rows whose objects are moved as well


@dataclass(kw_only=True)
class Beside:
    """The bucket of a story on a server of its own, and what was written into it before anything was done."""

    server: S3
    store: Store
    name: str
    before: Mapping[str, Held]

    def known_to(self, desk: Desk) -> Desk:
        """Let the project say where objects are, as [s3] does."""
        from migrator.project.config import S3Table

        table = S3Table(endpoint=self.server.endpoint, region=self.server.region, bucket=self.name)
        config = desk.project.config.model_copy(update={"s3": table})
        return replace(desk, project=replace(desk.project, config=config))


@contextmanager
def beside(run: Run, story: Story, rows: int | None) -> Iterator[tuple[Story, Beside | None]]:
    """Start a server with the bucket of a story, where it has one, and ask the change to move what is in it.

    Where there is no SeaweedFS the story is told without objects: no other server of ours keeps the conditions on which
    copies rest. Nor is it told with those of very many rows, which would take long.
    """
    from migrator.servers import S3, weed

    why = "" if weed.find() else f"There is no {weed.PROGRAM} for this machine"
    why = f"The objects of more than {number(MOST)} rows take long" if rows and rows > MOST else why
    if story.bucket is None or why:
        if story.bucket is not None:
            run.note(f"{why}: the demo leaves the objects out.")
        yield story, None
        return
    told = replace(story, params={**story.params, **story.bucket.params}, after=story.bucket.after)
    with S3.start() as server, _surroundings(server), _store(server) as store:
        yield told, _filled(server, store, told, rows)


def _store(server: S3) -> Store:
    from migrator.engine.objects import Store
    from migrator.model.objects import Storage

    return Store.open(Storage(endpoint=server.endpoint, region=server.region))


def _filled(server: S3, store: Store, story: Story, rows: int | None) -> Beside:
    from migrator.demo import buckets

    assert story.bucket is not None
    name = story.bucket.name
    store.call("create_bucket", Bucket=name)
    buckets.fill(store, name, story.bucket.objects(rows))
    return Beside(server=server, store=store, name=name, before=buckets.as_written(story.bucket.objects(rows)))


@contextmanager
def _surroundings(server: S3) -> Iterator[None]:
    """Let the AWS chain find the way into our server, and into no other, for a while."""
    from migrator.servers.s3 import STRANGE

    kept = dict(os.environ)
    for name in STRANGE:
        os.environ.pop(name, None)
    os.environ.update(server.environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def introduce(stage: Stage) -> None:
    """Say what is in the bucket."""
    bucket, beside = stage.story.bucket, stage.beside
    if bucket is None or beside is None:
        return
    stage.page(["", *fold(f"Its rows point into the bucket {beside.name} of an S3 store.", stage.run.width), ""])
    planted = [(number(one.rows), one.what, one.becomes) for one in bucket.planted(stage.rows)]
    head = ("objects", "what is in it", "what must become of them")
    stage.page(columns([head, *planted], right=(0,), width=stage.run.width))


def find(stage: Stage) -> None:
    """Look with the eyes of the new application: keys of rows, inputs of jobs, and whether anything else changed."""
    from migrator.demo import buckets

    bucket, beside = stage.story.bucket, stage.beside
    if bucket is None or beside is None:
        return
    stage.title("What the new application finds in the bucket")
    with stage.desk.database.connect() as connection:
        keys = [str(key) for (key,) in connection.execute(bucket.keys.encode()).fetchall()]
        inputs = [list(tried) for (tried,) in connection.execute(bucket.inputs.encode()).fetchall()]
    now = buckets.listed(beside.store, beside.name)
    led = [key for key in keys if key in now]
    said = f"{number(len(led))} of {number(len(keys))}, for example {min(led, default='none')}"
    stage.promise("the key of every row leads to its object", kept=bool(keys) and led == keys, evidence=said)
    found = [next((key for key in tried if key in now), None) for tried in inputs]
    said = f"{number(len(found) - found.count(None))} of {number(len(found))}, for example"
    said += f" {min(filter(None, found), default='none')}"
    stage.promise("the original is where the new application looks for it", kept=None not in found, evidence=said)
    touched = [key for key, held in beside.before.items() if now.get(key) != (held.size, held.etag)]
    said = f"{number(len(beside.before))} as before, {number(len(now) - len(beside.before))} beside them"
    stage.promise("no object is changed or removed", kept=not touched, evidence=", ".join(touched[:3]) or said)


def promise_same(stage: Stage) -> None:
    """Promise that the bucket is as it was, to the letter."""
    from migrator.demo import buckets

    if (beside := stage.beside) is None:
        return
    different = buckets.difference(beside.before, buckets.contents(beside.store, beside.name))
    same = f"{number(len(beside.before))} objects: keys, contents, types and metadata are the same"
    stage.promise("the bucket is as it was, object by object", kept=not different, evidence=different or same)
