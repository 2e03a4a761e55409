"""The S3 server of the tests, and what they do to it: objects of theirs, faults on the way, processes to kill."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from migrator.engine.objects import Pool, Store
from migrator.model.objects import Copied, CopySettings, CopyTask, ObjectName, Storage
from migrator.servers import S3
from migrator.servers.s3 import moto_server
from tests.support.proxy import Proxy

CHOICE_VARIABLE = "MIGRATOR_TEST_S3"


@dataclass(kw_only=True)
class Objects:
    """An S3 store for tests: buckets of its own making, all under one name that nobody else has."""

    endpoint: str
    about: str
    pid: int | None = None
    log: Path | None = None
    lasting: bool = False
    name: str = field(default_factory=lambda: f"test-{uuid4().hex[:8]}")
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open one store for all tests that do it no harm, and one client of the tests' own."""
        region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
        self.storage = Storage(endpoint=self.endpoint, region=region)
        self.store = self.open()
        plain = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2})
        self.client = boto3.session.Session().client("s3", endpoint_url=self.endpoint, region_name=region, config=plain)
        self.shared = self.bucket()
        self._numbers = itertools.count(1)

    def heard(self) -> list[str]:
        """Write down from now on what the shared store asks for, by the methods of HTTP."""
        asked: list[str] = []
        let(self.store, "", lambda request, **_: asked.append(request.method))
        return asked

    def open(self, endpoint: str | None = None, *, tries: int = 3) -> Store:
        """Open a store that may be spoilt."""
        return Store.open(replace(self.storage, endpoint=endpoint or self.endpoint), tries=tries)

    def bucket(self, *, versioned: bool = False) -> str:
        """Make a bucket, which takes the server a fifth of a second to write to first."""
        name = f"{self.name}-{len(self.made)}"
        self.client.create_bucket(Bucket=name)
        self.made.append(name)
        if versioned:
            self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def complaints(self) -> str:
        """Give the end of what the server has complained of in its log, for whoever reads of a test that failed."""
        lines = self.log.read_text("utf-8", "replace").splitlines() if self.log else []
        return "\n".join([one for one in lines if one.startswith(("W", "E", "F"))][-20:])

    def place(self) -> Place:
        """Give a part of the shared bucket that is empty."""
        return Place(self, self.shared, f"{next(self._numbers)}/")

    def close(self) -> None:
        """Remove what was made, unless the server goes with it."""
        for bucket in self.made if self.lasting else ():
            for page in self.client.get_paginator("list_object_versions").paginate(Bucket=bucket):
                for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                    self.client.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
            self.client.delete_bucket(Bucket=bucket)
        self.client.close()
        self.store.close()


class Place:
    """Keys that begin alike in one bucket."""

    def __init__(self, objects: Objects, bucket: str, prefix: str = "") -> None:
        """Nothing is there yet."""
        self.objects, self.bucket, self.prefix = objects, bucket, prefix
        self.client = objects.client

    def name(self, key: str) -> ObjectName:
        """Name an object of this place."""
        return ObjectName(self.bucket, self.prefix + key)

    def put(self, key: str, body: bytes = b"content", **more: Any) -> ObjectName:
        """Write an object."""
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=body, **more)
        return self.name(key)

    def get(self, key: str) -> dict[str, Any]:
        """Read an object, its content under `Body`."""
        answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)
        return {**answer, "Body": answer["Body"].read()}

    def put_in_parts(self, key: str, body: bytes, size: int, **more: Any) -> ObjectName:
        """Write an object in parts, as large ones are written: its ETag is the MD5 of nothing."""
        whole = {"Bucket": self.bucket, "Key": self.prefix + key}
        upload = {**whole, "UploadId": self.client.create_multipart_upload(**whole, **more)["UploadId"]}
        parts = []
        for number, begin in enumerate(range(0, len(body), size), 1):
            part = self.client.upload_part(**upload, PartNumber=number, Body=body[begin : begin + size])
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        return self.name(key)

    def all(self) -> dict[str, bytes]:
        """Read everything there is."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        keys = [one["Key"].removeprefix(self.prefix) for page in pages for one in page.get("Contents", ())]
        return {key: self.get(key)["Body"] for key in keys}

    def uploads(self) -> list[str]:
        """List the uploads that were begun and not ended."""
        answer = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix)
        return [one["Key"] for one in answer.get("Uploads", ())]

    def versions(self) -> list[tuple[str, bool]]:
        """List every version, and whether it is a mark that the object was deleted."""
        pages = list(self.client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=self.prefix))
        kinds = {"Versions": False, "DeleteMarkers": True}
        return sorted(
            (one["Key"], marker) for page in pages for kind, marker in kinds.items() for one in page.get(kind, ())
        )

    def task(self, key: str, to: str, **more: Any) -> CopyTask:
        """Name a copy within this place."""
        return CopyTask(source=self.name(key), target=self.name(to), **more)

    def copy(self, *tasks: CopyTask, store: Store | None = None, **settings: Any) -> list[Copied]:
        """Copy by a pool, and give the results in the order of the tasks."""
        pool = Pool(store or self.objects.store, CopySettings(**{"workers": 4, **settings}))
        found = {id(one.task): one for one in pool.copy(tasks)}
        return [found[id(one)] for one in tasks]

    def copy_one(self, key: str, to: str, store: Store | None = None, **settings: Any) -> Copied:
        """Copy one object."""
        (found,) = self.copy(self.task(key, to), store=store, **settings)
        return found


@contextmanager
def opened(choice: str | None) -> Iterator[Objects]:
    """Open the store that MIGRATOR_TEST_S3 names, with the credentials of the AWS chain; else a server of our own."""
    with ExitStack() as stack:
        if choice:
            objects = Objects(endpoint=choice, about=f"given by {CHOICE_VARIABLE}", lasting=True)
        else:
            server = stack.enter_context(S3.start())
            stack.enter_context(_surroundings(server.environment))
            objects = Objects(endpoint=server.endpoint, about=server.about, pid=server.pid, log=server.log)
        with closing(objects):
            yield objects


@contextmanager
def _surroundings(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def moto() -> Iterator[Objects]:
    """Open the second opinion: moto, in a thread of this process."""
    server = moto_server()
    server.start()
    try:
        host, port = server.get_host_and_port()
        # Whoever opens the other store meanwhile needs the credentials of that one.
        with _surroundings({"AWS_ACCESS_KEY_ID": "whoever", "AWS_SECRET_ACCESS_KEY": "whatever"}):
            objects = Objects(endpoint=f"http://{host}:{port}", about="moto")
        with closing(objects):
            yield objects
    finally:
        server.stop()


# --- faults --------------------------------------------------------------------------------------


class _Raw:
    """The body of an answer that no server gave."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self._body


def error(code: str, status: int) -> Callable[[Any], AWSResponse]:
    """Answer with an error of S3, under whatever status."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>said the test</Message></Error>".encode()
    return lambda request: AWSResponse(request.url, status, {"Content-Type": "application/xml"}, _Raw(body))


def happens(store: Store, operation: str, *acts: Callable[[Any], object]) -> None:
    """Let things happen before requests of one operation, one for each; what gives an answer keeps the request back."""
    left = list(acts)

    def hook(request: Any, **_: object) -> object:
        return left.pop(0)(request) if left else None

    let(store, operation, hook)


def let(store: Store, operation: str, hook: Callable[..., object]) -> None:
    """Call the hook before every request of one operation, or of all."""
    event = f"before-send.s3.{operation}".rstrip(".")
    _hooks(store)[event] = hook
    store.client.meta.events.register(event, hook)


def nothing_happens(store: Store) -> None:
    """Take back what was to happen."""
    hooks = _hooks(store)
    while hooks:
        store.client.meta.events.unregister(*hooks.popitem())


def _hooks(store: Store) -> dict[str, Callable[..., object]]:
    return vars(store).setdefault("hooks of the test", {})


class Through:
    """A proxy to the server that can lose one message."""

    def __init__(self, objects: Objects) -> None:
        """Stand in front of the server."""
        self._proxy = Proxy(objects.endpoint)
        self.on, self.cut = self._proxy.on, self._proxy.cut
        self.happened = self._proxy.happened

    def __enter__(self) -> Self:
        """Begin."""
        self._proxy.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """End."""
        self._proxy.__exit__(*error)

    @property
    def endpoint(self) -> str:
        """The address of the server through the proxy."""
        return f"http://127.0.0.1:{urlsplit(self._proxy.url).port}"
