"""Settings: command line > environment (`PANOPTICON_…`) > `panopticon.toml` > default."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import platformdirs
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from panopticon.errors import UsageError

PREFIX = "PANOPTICON_"


class SettingsError(UsageError):
    """An unknown or unreadable setting. The message names key and origin, and never shows a credential."""


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _refuse_empty(value: object) -> object:
    if value == "":
        raise ValueError("must not be empty")
    return value


def _refuse_none(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("must not be empty")
    return value


def _check_url(value: str) -> str:
    if value and not re.match(r"[a-z][a-z0-9+.-]*://", value):
        raise ValueError("must be a URL such as sqlite:////var/lib/panopticon/panopticon.db")
    return value


SECRETS = frozenset({"espresso_token"})
"""Settings whose value is a credential as a whole, and never shown."""

MAX_SECONDS = 7 * 24 * 3600
"""One week. A longer time is most likely a typing error, and overflows the timers of some systems."""

Number = Annotated[int, BeforeValidator(_refuse_bool)]
Share = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_refuse_bool)]
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False), BeforeValidator(_refuse_bool)]
Names = Annotated[tuple[str, ...], AfterValidator(_refuse_none), BeforeValidator(_split)]
Entries = Annotated[tuple[str, ...], BeforeValidator(_split)]
Folders = Annotated[tuple[Path, ...], BeforeValidator(_split)]
Delays = Annotated[tuple[Seconds, ...], BeforeValidator(_split)]
Url = Annotated[str, AfterValidator(_check_url)]
Folder = Annotated[Path, BeforeValidator(_refuse_empty)]


def _default_database() -> str:
    return f"sqlite:///{platformdirs.user_data_path('panopticon') / 'panopticon.db'}"


class Settings(BaseModel):
    """Every setting with its default and its description, as `panopticon settings` prints them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: Annotated[Url, BeforeValidator(_refuse_empty)] = Field(
        default_factory=_default_database,
        description="URL of one SQLite file, used for every component below that has no URL",
    )
    broker: Url = Field(default="", description="URL of the message queues; empty: the database")
    store: Url = Field(
        default="",
        description="URL of the store of outputs, failures, catalogue and registry; empty: the database",
    )
    search: Url = Field(default="", description="URL of the search index; empty: the database")
    originals: str = Field(
        default="",
        description="URI template of images that come without a URI, such as file:///photos/{image_id}",
    )
    file_roots: Folders = Field(
        default=(),
        description="folders from which file:// may read; empty: any if the broker is SQLite, else none",
    )
    private_hosts: Entries = Field(
        default=(),
        description="non-public hosts, host:port or networks from which http:// may read",
    )
    s3_endpoint: Url = Field(default="", description="URL of an S3-compatible service; empty: Amazon S3")
    s3_region: str = Field(default="", description="AWS region for s3://; empty: as the AWS tools find it")
    s3_addressing: Literal["auto", "path", "virtual"] = Field(
        default="auto", description="bucket name in the URL: in the path, or in the host name (virtual)"
    )
    s3_buckets: Entries = Field(
        default=(),
        description="buckets, or bucket/folder, from which s3:// may read; empty: that of originals",
    )
    models: Names = Field(
        default=("tagger@1", "quality@1"), description="model versions that `panopticon index` runs"
    )
    models_dir: Folder | None = Field(default=None, description="folder with your own model cards")
    exclude: Entries = Field(
        default=(), description="files and folders to skip in each folder, as in .gitignore: drafts/, *.png"
    )
    pairs: Literal["jpeg", "both"] = Field(
        default="jpeg",
        description="RAW+JPEG pairs and Live Photos: jpeg counts each once, both takes every file",
    )
    cache_dir: Folder = Field(
        default_factory=lambda: platformdirs.user_cache_path("panopticon"),
        description="folder for converted models, named by digest; may be deleted at any time",
    )
    engine: str = Field(
        default="", description="inference engine, keras or litert; empty: the first that the card allows"
    )
    threads: Number = Field(default=0, ge=0, description="threads of one model process; 0: one per core")
    max_bytes: Number = Field(
        default=64 * 1024 * 1024,
        gt=0,
        description="size of the largest original accepted, in bytes, once unpacked",
    )
    max_pixels: Number = Field(
        default=100_000_000,
        gt=0,
        description="width × height of the largest image accepted; a JPEG in one scan: four times as many",
    )
    fetch_timeout_s: Seconds = Field(
        default=20.0, description="seconds to fetch one original; then the attempt fails"
    )
    item_timeout_s: Seconds = Field(
        default=60.0, description="seconds for one decode or one model run; then the model process is killed"
    )
    lease_s: Seconds = Field(
        default=60.0, description="redeliver a message whose lease is not renewed in this time, in seconds"
    )
    retry_delays_s: Delays = Field(
        default=(10.0, 60.0, 600.0, 3600.0),
        description="delays between retries, in seconds; after the last the image fails",
    )
    registry_every_s: Seconds = Field(
        default=5.0, description="seconds between registry reads; a worker parks after 3 × this without one"
    )
    prune: bool = Field(
        default=False, description="mark photos as deleted whose files are gone from an indexed folder"
    )
    prune_limit: Share = Field(
        default=0.2, ge=0, le=1, description="share of a folder's photos above which pruning asks first"
    )
    backfill_waiting: Number = Field(
        default=1000,
        gt=0,
        description="messages that `panopticon backfill` keeps waiting in its lane at most",
    )
    grace_s: Seconds = Field(default=25.0, description="seconds to finish leased messages after SIGTERM")
    park_max_s: Seconds = Field(
        default=30.0, description="longest pause between two attempts to resume while parked, in seconds"
    )
    park_hold_s: Seconds = Field(
        default=60.0, description="requeue leased messages after being parked for this time, in seconds"
    )
    breaker_failures: Number = Field(
        default=10, gt=0, description="failed images in a row after which a host of originals counts as down"
    )
    dead_share: Share = Field(
        default=0.5,
        gt=0,
        le=1,
        description="unfetchable images wait once more than this share of the last 200 failed; 1: never",
    )
    ready_file: Folder | None = Field(
        default=None, description="file touched every 5 s while ready for work, removed while parked"
    )
    metrics_host: Annotated[str, BeforeValidator(_refuse_empty)] = Field(
        default="127.0.0.1",
        description="address on which --metrics-port serves metrics; 0.0.0.0: every interface",
    )
    http_host: Annotated[str, BeforeValidator(_refuse_empty)] = Field(
        default="127.0.0.1", description="address on which `panopticon serve` answers HTTP"
    )
    http_port: Number = Field(
        default=8080, ge=0, le=65535, description="port of `panopticon serve`; 0: any free one"
    )
    probe_port: Number | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="port on which a thread of its own answers /health and /metrics; empty: none",
    )
    replicas: Number = Field(
        default=1, ge=1, le=64, description="model processes of each model that `panopticon serve` runs"
    )
    gate: Number = Field(
        default=64, ge=1, description="images that each served model admits at once; then 429"
    )
    gate_bytes: Number = Field(
        default=256 * 1024 * 1024,
        ge=1,
        description="bytes of the images that each served model admits at once; then 429",
    )
    service_gate: Number = Field(
        default=256, ge=1, description="requests that `panopticon serve` admits at once; then 429"
    )
    service_gate_bytes: Number = Field(
        default=512 * 1024 * 1024,
        ge=1,
        description="bytes of the requests that `panopticon serve` admits at once; then 429",
    )
    request_timeout_s: Seconds = Field(
        default=30.0, description="seconds in which a request is answered, or refused with 503"
    )
    body_timeout_s: Seconds = Field(
        default=60.0, description="seconds in which the body of a request must have arrived"
    )
    header_timeout_s: Seconds = Field(
        default=10.0, description="seconds in which the headers of a request must have arrived"
    )
    keep_alive_s: Seconds = Field(
        default=30.0, description="seconds after which an idle HTTP connection is closed"
    )
    max_connections: Number = Field(
        default=4096, ge=1, description="HTTP connections that are open at once; more are answered 503"
    )
    max_header_bytes: Number = Field(
        default=32 * 1024,
        ge=1024,
        description="size of the request line and headers of one request, in bytes",
    )
    max_request_bytes: Number = Field(
        default=128 * 1024 * 1024, ge=1, description="size of the body of one request, in bytes"
    )
    max_parts: Number = Field(default=16, ge=1, description="images in one request")
    drain_s: Seconds = Field(
        default=5.0,
        description="seconds after SIGTERM in which `serve` is not ready but still accepts requests",
    )
    tokens_file: Folder | None = Field(
        default=None, description="file with the hashes of bearer tokens; needed unless http_host is loopback"
    )
    tls_certificate: Folder | None = Field(
        default=None, description="file with the TLS certificate of `serve` and its chain, in PEM"
    )
    tls_key: Folder | None = Field(
        default=None, description="file with the private key of the TLS certificate, in PEM"
    )
    hosts: Url = Field(
        default="",
        description="list for /v1/hosts: file:///etc/panopticon/hosts or srv://_panopticon._tcp.example.org",
    )
    espresso: Url = Field(
        default="", description="URL of a `panopticon serve` that runs the models of this worker"
    )
    espresso_token: str = Field(default="", repr=False, description="bearer token for that service")
    espresso_send: Literal["uri", "bytes"] = Field(
        default="uri", description="what a worker sends to that service: URIs, or the bytes that it fetched"
    )
    settle_s: Seconds = Field(
        default=10.0, description="seconds between the two snapshots that show an image to be lost"
    )
    min_coverage: Share = Field(
        default=0.99,
        ge=0,
        le=1,
        description="to activate: least share of the old version's searchable images that are covered",
    )
    min_agreement: Share = Field(
        default=0.8,
        ge=0,
        le=1,
        description="to activate: least share of images with the same best tag",
    )
    min_jaccard: Share = Field(
        default=0.7,
        ge=0,
        le=1,
        description="to activate: least mean Jaccard index of the images' sets of tags",
    )
    max_ks: Share = Field(
        default=0.2,
        ge=0,
        le=1,
        description="to activate: greatest Kolmogorov–Smirnov statistic of any score",
    )
    max_waiting: Number = Field(
        default=1000, ge=0, description="to activate: most messages on the results queue"
    )
    min_images: Number = Field(
        default=200, gt=0, description="to activate: least number of images compared, or all there are"
    )
    report_max_age_s: Seconds = Field(
        default=86_400.0, description="to activate: greatest age of its comparison, in seconds"
    )

    @property
    def registry_max_age_s(self) -> float:
        """Seconds without a successful read of the registry after which a process parks."""
        return 3 * self.registry_every_s

    @property
    def broker_url(self) -> str:
        return self.broker or self.database

    @property
    def store_url(self) -> str:
        return self.store or self.database

    @property
    def search_url(self) -> str:
        return self.search or self.database

    @property
    def readable_roots(self) -> tuple[Path, ...]:
        """Folders from which `file://` may read: `file_roots`, or any folder if the broker is SQLite.

        On a broker others may publish, and they must not choose any file of a worker's machine.
        """
        embedded = self.broker_url.startswith("sqlite:")
        return self.file_roots or ((Path("/"),) if embedded else ())

    @property
    def readable_buckets(self) -> tuple[str, ...]:
        """Buckets from which `s3://` may read: `s3_buckets`, or the bucket of `originals` if it is in S3."""
        own = re.match(r"(?i:s3)://([^/]+)", self.originals)
        return self.s3_buckets or ((own[1],) if own else ())

    def without_addresses(self) -> Settings:
        """Return a copy without a secret: no token, and of component URLs only their schemes.

        It is for the process that decodes files from strangers.
        """
        parts = ("database", "broker", "store", "search", "espresso")
        schemes = {part: re.sub("(?<=://).*", "", getattr(self, part), flags=re.DOTALL) for part in parts}
        return self.model_copy(update={**schemes, **dict.fromkeys(SECRETS, "")})

    def as_environ(self) -> dict[str, str]:
        """Return the environment variables from which another process reads equal settings."""
        return {f"{PREFIX}{key.upper()}": _written(value) for key, value in self if value is not None}


class SettingRow(NamedTuple):
    """One row of the table of settings."""

    key: str
    default: str
    """The default as it would be written in the environment; empty if there is none."""
    description: str


def describe() -> Iterator[SettingRow]:
    """Yield a row for each setting, in the order of `Settings`."""
    for key, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        yield SettingRow(key, _written(default), field.description or "")


def read_settings(
    *, flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None
) -> Settings:
    """Merge the three sources; a flag that is None was not given.

    Raises: SettingsError naming the key, its origin and what it accepts.
    """
    layers = [
        (str(file), _from_file(file) if file else {}),
        (
            f"the environment ({PREFIX}…)",
            {
                key.removeprefix(PREFIX).lower(): text
                for key, text in environ.items()
                if key.startswith(PREFIX)
            },
        ),
        ("the command line", {key: value for key, value in flags.items() if value is not None}),
    ]
    origins = {key: origin for origin, layer in layers for key in layer}
    values = {key: value for _, layer in layers for key, value in layer.items()}
    for key, origin in origins.items():
        _check_known(key, origin)
    try:
        return Settings(**values)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = str(fault["loc"][0])
        raise SettingsError(_refusal(key, origins[key], values[key], fault["msg"])) from None


def _check_known(key: str, origin: str) -> None:
    if key in Settings.model_fields:
        return
    close = difflib.get_close_matches(key, Settings.model_fields, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    # A URL that was given without its key is cut at the first equals sign, which may be in its password.
    named = "" if ":" in key else f" {key!r}"
    raise SettingsError(
        f"unknown setting{named} from {origin}{hint}; known: {', '.join(Settings.model_fields)}"
    )


def _refusal(key: str, origin: str, value: object, fault: str) -> str:
    what = fault.removeprefix("Value error, ").removeprefix("Input ")
    description = Settings.model_fields[key].description
    # A value with a colon is not shown: it may be a URL with a password in it.
    shown = "" if ":" in repr(value) or key in SECRETS else f" is {value!r:.60}"
    return f"setting {key!r} from {origin}{shown}: {what} ({description})"


def _written(value: object) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _from_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"settings file {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"settings file {file}: not UTF-8; it must be a text file") from None
    except ValueError as error:
        raise SettingsError(f"settings file {file}: {error}") from None
    except RecursionError:
        raise SettingsError(f"settings file {file}: nested too deeply") from None
