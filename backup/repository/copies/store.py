"""Object storage as copies need it, by obstore: documents, streams with bounded memory, errors as sentences."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from backup.errors import BackupError
from backup.settings import Copy as Settings
from toban.backups import Trouble
from toban.secrets import Secret, blot

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART_BYTES: Final = 5 * 1024 * 1024  # the least that S3 takes
MOST_PARTS: Final = 9000  # S3 takes ten thousand
PARTS_AT_ONCE: Final = 1  # and the next being gathered: memory for two
WHOLE_BYTES: Final = 32 * 1024 * 1024  # what is sent in one request, so that it can be refused where it exists
MOST_DELETED: Final = 1000
MOST_RETRIES: Final = 4
RETRY_SECONDS: Final = 60
REQUEST_SECONDS: Final = 120
_OF_THE_CLIENT: Final = frozenset(
    {
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "http1_only",
        "http2_only",
        "pool_idle_timeout",
        "proxy_ca_certificate",
        "proxy_excludes",
        "proxy_url",
        "root_certificate",
        "timeout",
        "user_agent",
    }
)
_KEYS: Final = {
    "s3": ("access_key_id", "secret_access_key"),
    "az": ("account_name", "account_key"),
    "gs": ("application_credentials", "service_account_key"),
}
_SCHEMES: Final = {"s3a": "s3", "azure": "az", "abfs": "az", "abfss": "az", "adl": "az"}
_WORDS: Final = {"true": True, "false": False}


class Store:
    """One bucket, or what is below a prefix of it."""

    def __init__(self, store: "ObjectStore", name: str, secrets: Sequence[str] = ()) -> None:
        self.name = name
        self._store = store
        self._secrets = tuple(secrets)

    @classmethod
    def of(cls, settings: Settings) -> "Store":
        """The store that the configuration names."""
        with _translated(f"copy {settings.name}", _secrets(settings), otherwise=Trouble.CONFIGURATION):
            from obstore.store import from_url  # noqa: PLC0415 - an extra, loaded where it is wanted

            store = from_url(  # type: ignore[call-overload] # what it takes goes by the scheme
                settings.url or "",
                config=_config(settings),
                client_options=_client_options(settings),
                retry_config={"max_retries": MOST_RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
            )
        return cls(store, f"copy {settings.name}", _secrets(settings))

    async def read(self, key: str, *, most_bytes: int) -> bytes | None:
        """A small document; None where there is none."""
        import obstore  # noqa: PLC0415 - see above
        from obstore.exceptions import NotFoundError  # noqa: PLC0415 - see above

        with self._translated():
            try:
                found = await obstore.get_async(self._store, key)
            except (FileNotFoundError, NotFoundError):
                return None
            if found.meta["size"] > most_bytes:
                raise BackupError(self.name, f"{key} is larger than {most_bytes} bytes", trouble=Trouble.DAMAGED)
            return bytes(await found.bytes_async())

    async def write(self, key: str, content: bytes, *, new: bool) -> None:
        """A small document, whole at once; with `new` it is refused where there is one."""
        import obstore  # noqa: PLC0415 - see above

        with self._translated(key):
            await obstore.put_async(
                self._store, key, content, mode="create" if new else "overwrite", use_multipart=False
            )

    async def send(self, key: str, pieces: AsyncIterator[bytes], size_bytes: int, *, new: bool) -> None:
        """A file, whole at its end or not at all. What raises while its pieces are read leaves nothing there."""
        import obstore  # noqa: PLC0415 - see above

        if size_bytes <= WHOLE_BYTES:
            content = b"".join([piece async for piece in pieces])
            await self.write(key, content, new=new)
            return
        part = max(PART_BYTES, -(-size_bytes // MOST_PARTS))
        failures: list[BaseException] = []
        with self._translated(key, failures):
            await obstore.put_async(
                self._store,
                key,
                _watched(pieces, failures),
                chunk_size=part,
                max_concurrency=PARTS_AT_ONCE,
                use_multipart=True,
            )
        await self._expect(key, size_bytes)

    async def pieces(self, key: str, size_bytes: int, piece_bytes: int) -> AsyncIterator[bytes]:
        """A file of this size by its ranges: each a request of its own, so that a slow line is no time limit."""
        import obstore  # noqa: PLC0415 - see above

        await self._expect(key, size_bytes)
        for start in range(0, size_bytes, piece_bytes):
            with self._translated(key):
                end = min(start + piece_bytes, size_bytes)
                piece = bytes(await obstore.get_range_async(self._store, key, start=start, end=end))
            yield piece

    async def sizes(self, beginning: str) -> dict[str, int]:
        """Every key in a folder and those in it, with its size."""
        return {key: size for key, size, _ in await self._listed(beginning)}

    async def newest(self, beginning: str) -> float:
        """When anything below was last written, by the store's own clock."""
        return max((at for _, _, at in await self._listed(beginning)), default=0.0)

    async def folders(self, beginning: str) -> tuple[str, ...]:
        """The folders in a folder."""
        import obstore  # noqa: PLC0415 - see above

        with self._translated():
            found = await obstore.list_with_delimiter_async(self._store, beginning or None)
        return tuple(sorted(name.rstrip("/").rpartition("/")[2] for name in found["common_prefixes"]))

    async def delete(self, keys: Sequence[str]) -> None:
        """Take keys away; those that are gone already are no matter."""
        import obstore  # noqa: PLC0415 - see above

        for start in range(0, len(keys), MOST_DELETED):
            with self._translated():
                try:
                    await obstore.delete_async(self._store, list(keys[start : start + MOST_DELETED]))
                except FileNotFoundError:
                    continue

    async def _listed(self, beginning: str) -> list[tuple[str, int, float]]:
        import obstore  # noqa: PLC0415 - see above

        found: list[tuple[str, int, float]] = []
        with self._translated():
            async for page in obstore.list(self._store, beginning.rstrip("/") or None):
                found += [(one["path"], one["size"], one["last_modified"].timestamp()) for one in page]
        return found

    async def _expect(self, key: str, size_bytes: int) -> None:
        import obstore  # noqa: PLC0415 - see above

        with self._translated(key):
            found = (await obstore.head_async(self._store, key))["size"]
        if found != size_bytes:
            why = f"{key} has {found} bytes there, not {size_bytes}"
            raise BackupError(self.name, why, trouble=Trouble.DAMAGED)

    def _translated(self, key: str = "", failures: Sequence[BaseException] = ()) -> Any:  # noqa: ANN401 - a block
        return _translated(self.name, self._secrets, key, failures)


async def _watched(pieces: AsyncIterator[bytes], failures: list[BaseException]) -> AsyncIterator[bytes]:
    """The pieces, with what stopped them kept for whoever asks why nothing was sent."""
    try:
        async for piece in pieces:
            yield piece
    except Exception as error:  # kept for whoever asks why, and raised again
        failures.append(error)
        raise


@contextmanager
def _translated(
    what: str,
    secrets: Sequence[str],
    key: str = "",
    failures: Sequence[BaseException] = (),
    otherwise: Trouble = Trouble.UNREACHABLE,
) -> Iterator[None]:
    """The client's errors as sentences, without what is secret; a failure of our own goes first."""
    try:
        yield
    except BackupError:
        raise
    except ImportError as error:
        hint = "pip install 'toban[offsite]'"
        raise BackupError(what, "obstore is not installed", hint, trouble=Trouble.PROGRAM) from error
    except Exception as error:  # obstore has errors of many kinds; they become one of ours
        own = next((one for one in failures if isinstance(one, BackupError)), None)
        if own is not None:
            raise own from None
        if not _is_the_clients(error):
            raise
        raise _sentence(what, error, secrets, key, otherwise) from error


def _is_the_clients(error: Exception) -> bool:
    from obstore.exceptions import BaseError  # noqa: PLC0415 - see above

    return isinstance(error, (BaseError, OSError, ValueError))


def _sentence(
    what: str, error: Exception, secrets: Sequence[str], key: str, otherwise: Trouble = Trouble.UNREACHABLE
) -> BackupError:
    kind = type(error).__name__
    said = blot(" ".join(str(error).split("\n")[0].split()), *secrets)[:300]
    why = f"{key}: {said}" if key and key not in said else said
    if "AlreadyExists" in kind or "Precondition" in kind or isinstance(error, FileExistsError):
        return BackupError(what, f"{key} is there already, and is not replaced", trouble=Trouble.REPOSITORY)
    if "Permission" in kind or "Unauthenticated" in kind or isinstance(error, PermissionError):
        return BackupError(what, why, "look at its access_key and what it may do", trouble=Trouble.PRIVILEGE)
    if "NotFound" in kind or isinstance(error, FileNotFoundError):
        return BackupError(what, why, "is its url right, and the bucket there?", trouble=Trouble.MISSING)
    if otherwise is Trouble.CONFIGURATION or isinstance(error, ValueError):
        return BackupError(what, why, "look at its url and options", trouble=Trouble.CONFIGURATION)
    return BackupError(what, why or kind, trouble=otherwise)


def _config(settings: Settings) -> dict[str, Any]:
    """What obstore is told of the store."""
    scheme = (settings.url or "").partition("://")[0]
    names = _KEYS.get(_SCHEMES.get(scheme, scheme), ("access_key_id", "secret_access_key"))
    found: dict[str, Any] = {
        key: _WORDS.get(str(value), value) for key, value in _options(settings) if key not in _OF_THE_CLIENT
    }
    for key, secret in zip(names, (settings.access_key, settings.secret_key), strict=True):
        if secret is not None:
            found[key] = secret.reveal()
    return found


def _client_options(settings: Settings) -> dict[str, Any]:
    """What obstore is told of connections: an endpoint that is plain HTTP was asked for by its name."""
    found: dict[str, Any] = {"timeout": f"{REQUEST_SECONDS} seconds"}
    if any(str(value).startswith("http://") for _, value in _options(settings)):
        found["allow_http"] = True
    chosen = {key: _WORDS.get(str(value), value) for key, value in _options(settings) if key in _OF_THE_CLIENT}
    return found | chosen


def _options(settings: Settings) -> Iterator[tuple[str, str]]:
    for key, value in settings.options.items():
        yield key.lower(), value.reveal() if isinstance(value, Secret) else value


def _secrets(settings: Settings) -> tuple[str, ...]:
    of_options = [value for value in settings.options.values() if isinstance(value, Secret)]
    found = (settings.access_key, settings.secret_key, *of_options)
    return tuple(secret.reveal() for secret in found if secret is not None)
