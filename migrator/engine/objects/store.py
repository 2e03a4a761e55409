"""The way to an S3 store: one client for all threads, whose errors are told in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self

from migrator.engine.objects import failures
from migrator.engine.objects.failures import RefusalError
from migrator.model.objects import ObjectName, Storage

TRIES: Final = 8
CONNECTING: Final = 10.0
# A server that copies gigabytes may be silent for long; S3 itself sends blanks meanwhile.
SILENT: Final = 300.0
CHUNK: Final = 1 << 20


class Store:
    """An S3 store, open. Many threads may use it at once."""

    def __init__(self, storage: Storage, client: Any, errors: Any) -> None:
        """Keep the client; `Store.open` makes one."""
        self.storage = storage
        self.clock: datetime | None = None
        self.client = client
        self._errors = errors

    @classmethod
    def open(cls, storage: Storage, *, workers: int = 16, tries: int = TRIES) -> Self:
        """Open a store with the credentials of the standard AWS chain; nothing is sent yet.

        What passes is tried again, `tries` times in all, ever more slowly, and with less at once where the store asks
        for that. Raises ConfigurationError M263 where profile or endpoint are none.
        """
        import boto3  # noqa: PLC0415 -- slow, and only for those who move objects
        from botocore import exceptions  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        config = Config(
            connect_timeout=CONNECTING,
            read_timeout=SILENT,
            retries={"mode": "adaptive", "total_max_attempts": tries},
            max_pool_connections=workers + 1,
            parameter_validation=False,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # Stores other than Amazon's rarely have a name of their own for each bucket.
            s3={"addressing_style": "path" if storage.endpoint else "auto"},
        )
        try:
            client = boto3.session.Session().client(
                "s3", endpoint_url=storage.endpoint, region_name=storage.region, config=config
            )
        except (exceptions.BotoCoreError, ValueError) as error:
            raise failures.no_client(error) from None
        return cls(storage, client, exceptions)

    def __enter__(self) -> Self:
        """Hand over the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def call(self, operation: str, **asked: Any) -> dict[str, Any]:
        """Ask the store for one operation, by the names of boto3.

        Raises RefusalError where the answer is about the object, and errors M252 to M262 where it is about the world.
        """
        try:
            answer: dict[str, Any] = getattr(self.client, operation)(**asked)
        except self._errors.ClientError as error:
            self._read_clock(error.response)
            raise failures.of_answer(error.response, operation, asked, self.storage) from error
        except self._errors.BotoCoreError as error:
            raise failures.of_the_way(error, self._errors, self.storage) from error
        self._read_clock(answer)
        return answer

    def content(self, name: ObjectName, **asked: Any) -> Iterator[bytes]:
        """Read an object piece by piece. Raises as `call` does, also where the answer breaks off."""
        # Its own context manager would hand out the raw stream, which ends in silence where it is cut.
        with closing(self.call("get_object", Bucket=name.bucket, Key=name.key, **asked)["Body"]) as body:
            try:
                yield from iter(lambda: body.read(CHUNK), b"")
            except self._errors.BotoCoreError as error:
                raise failures.of_the_way(error, self._errors, self.storage) from error

    def pages(self, operation: str, **asked: Any) -> Iterator[dict[str, Any]]:
        """Ask page after page, going on by the token of the page before."""
        token: dict[str, str] = {}
        while True:
            page = self.call(operation, **asked, **token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def check(self, bucket: str) -> None:
        """Ask once whether the bucket is there and lets us in, in a way whose refusal has words.

        A role that may read objects but not list them passes. Raises M252 to M262.
        """
        try:
            self.call("list_objects_v2", Bucket=bucket, MaxKeys=1)
        except RefusalError as refusal:
            if not refusal.code:
                raise failures.no_s3(self.storage, str(refusal)) from None
            if refusal.status != failures.FORBIDDEN:
                raise failures.unexplained(refusal) from None
            self._check_reading(bucket)

    def _check_reading(self, bucket: str) -> None:
        """Ask for an object that is not there: who may read but not list is told that it is denied, or missing."""
        try:
            self.call("get_object_tagging", Bucket=bucket, Key="~migrator")
        except RefusalError as refusal:
            if refusal.status not in {failures.FORBIDDEN, failures.NOT_FOUND}:
                raise failures.unexplained(refusal) from None

    def _read_clock(self, answer: Any) -> None:
        """Learn what time it is where the objects are; LastModified is told by the same clock."""
        told = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if told:
            self.clock = parsedate_to_datetime(told).astimezone(UTC)
