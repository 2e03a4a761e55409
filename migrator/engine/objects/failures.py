"""What an answer of S3 means for us: a word about one object, or about the world, and how to say that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from migrator.model.errors import ConfigurationError, MigratorError, UsageError, WorldError
from migrator.model.objects import Storage

BAD: Final = 400
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
CONFLICT: Final = 409
PRECONDITION: Final = 412
TOO_OFTEN: Final = 429
BROKEN: Final = 500

AGAIN: Final = "What was copied stays; run the same command again."
_WRONG_KEYS: Final = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "AuthFailure"})
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"})
_ELSEWHERE: Final = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
# Gateways speak for S3 without its words, and not every store has words for what a status says.
_WITHOUT_WORDS: Final = frozenset({FORBIDDEN, NOT_FOUND, CONFLICT, PRECONDITION, TOO_OFTEN, 502, 503, 504})
_REDIRECTS: Final = frozenset({301, 307, 308})
_CLOCK: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_CLOSED: Final = frozenset({"AllAccessDisabled", "AccountProblem", "NotSignedUp"})
_OVERLOADED: Final = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "ServiceUnavailable"}
)


class RefusalError(Exception):
    """The store refused something about one object: to be decided upon, never to be seen by a user."""

    def __init__(self, *, status: int, code: str, said: str, operation: str, retried: bool) -> None:
        """Keep the answer. `code` is empty for HEAD, whose answer has no words."""
        super().__init__(f"{operation}: {status} {code} {said}")
        self.status = status
        self.code = code
        self.said = said
        self.operation = operation
        self.retried = retried

    @property
    def why(self) -> str:
        """Say it for people."""
        return f"{self.code or self.status}: {self.said}".rstrip(": ")


def of_answer(
    answer: Mapping[str, Any], operation: str, asked: Mapping[str, Any], storage: Storage
) -> MigratorError | RefusalError:
    """Give what to raise for an answer that is an error."""
    told, meta = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    code, said = str(told.get("Code", "")), str(told.get("Message", ""))
    status = int(meta.get("HTTPStatusCode", 0))
    if found := _of_the_world(code, status, said, asked, storage):
        return found
    if not operation.startswith("head_") and code in {str(status), str(BROKEN)} and status not in _WITHOUT_WORDS:
        return no_s3(storage, f"{operation}: {status} {said}".rstrip())
    if status >= BROKEN or status == TOO_OFTEN or code in _OVERLOADED or code == "InternalError":
        times = int(meta.get("RetryAttempts", 0)) + 1
        what = f"The store still answered {code or status} after {_tried(times)} of {operation} ({said})."
        return WorldError("M259", what, f"Fewer workers, or a limit of objects a second, spare it. {AGAIN}")
    plain = "" if code.isdecimal() else code
    retried = bool(meta.get("RetryAttempts"))
    return RefusalError(status=status, code=plain, said=said, operation=operation, retried=retried)


def _of_the_world(
    code: str, status: int, said: str, asked: Mapping[str, Any], storage: Storage
) -> MigratorError | None:
    """Say what is not about one object: the keys, the token, the bucket, the region, the clock."""
    buckets = " or ".join(dict.fromkeys(_buckets(asked)))
    if code in _WRONG_KEYS:
        return UsageError("M253", f"The store does not accept the credentials ({code}).", _CREDENTIALS)
    if code in _EXPIRED:
        return WorldError("M254", f"The session token has expired or is none ({code}).", f"Get a new one. {AGAIN}")
    if code == "NoSuchBucket":
        return UsageError("M255", f"There is no bucket {buckets}.", "Correct its name, in [s3] or where it comes from.")
    if code in _ELSEWHERE or status in _REDIRECTS:
        region = storage.region or "the one of the AWS configuration"
        what = f"Bucket {buckets} is not in region {region} ({said or code})."
        return UsageError("M256", what, 'Write its region in [s3]: region = "eu-central-1".')
    if code in _CLOSED:
        return UsageError("M257", f"The store lets this account do nothing ({code}: {said}).", _CREDENTIALS)
    if code in _CLOCK:
        return WorldError("M260", f"The clock of this machine is wrong ({said or code}).", f"Set it. {AGAIN}")
    return None


def of_the_way(error: Exception, errors: Any, storage: Storage) -> MigratorError:
    """Give what to raise where no answer came: no credentials, no network, or no S3 at the other end."""
    where = storage.endpoint or "Amazon S3"
    said = " ".join(str(error).split())
    no_keys = (errors.NoCredentialsError, errors.PartialCredentialsError, errors.CredentialRetrievalError)
    no_token = (errors.TokenRetrievalError, errors.SSOError, errors.UnauthorizedSSOTokenError)
    if isinstance(error, no_keys):
        return UsageError("M252", f"There are no credentials for {where} ({said}).", _CREDENTIALS)
    if isinstance(error, no_token):
        return WorldError("M254", f"The session token has expired or is none ({said}).", f"Get a new one. {AGAIN}")
    if isinstance(error, (errors.ConnectionError, errors.HTTPClientError, errors.IncompleteReadError)):
        return WorldError("M258", f"{where} cannot be reached ({said}).", f"Look at network, proxy and [s3]. {AGAIN}")
    return WorldError("M262", f"{where}: {said}.", AGAIN)


def no_s3(storage: Storage, said: str) -> MigratorError:
    """Say that something else answers."""
    what = f"{storage.endpoint or 'Amazon S3'} does not answer as S3 does ({said})."
    return WorldError("M261", what, "Look at `endpoint` in [s3], and at proxies on the way.")


def unexplained(refusal: RefusalError) -> MigratorError:
    """Say a refusal that is about no object."""
    return WorldError("M262", f"The store refused {refusal.operation} ({refusal.why}).", AGAIN)


def no_client(error: Exception) -> ConfigurationError:
    """Say that what was configured for the client is none."""
    what = f"No way to the store can be made of what is configured ({error})."
    return ConfigurationError("M263", what, "Look at [s3] in migrator.toml, AWS_PROFILE and the AWS configuration.")


_CREDENTIALS: Final = (
    "Credentials come by the standard AWS chain: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE,"
    " or the role of the machine."
)


def _buckets(asked: Mapping[str, Any]) -> list[str]:
    source = asked.get("CopySource", {}).get("Bucket")
    return [*([source] if source else []), str(asked.get("Bucket", ""))]


def _tried(times: int) -> str:
    return "one attempt" if times == 1 else f"{times} attempts"
