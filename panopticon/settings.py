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
    """A setting is unknown or unreadable. Names the key and where it was read, never a credential."""


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


def _check_url(value: str) -> str:
    if value and not re.match(r"[a-z][a-z0-9+.-]*://", value):
        raise ValueError("must be a URL such as sqlite:////var/lib/panopticon/panopticon.db")
    return value


MAX_SECONDS = 7 * 24 * 3600
"""A week: longer is a slip of the pen, and overflows the timers of some systems."""

Number = Annotated[int, BeforeValidator(_refuse_bool)]
Share = Annotated[float, BeforeValidator(_refuse_bool)]
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False), BeforeValidator(_refuse_bool)]
Names = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_split)]
Entries = Annotated[tuple[str, ...], BeforeValidator(_split)]
Folders = Annotated[tuple[Path, ...], BeforeValidator(_split)]
Delays = Annotated[tuple[Seconds, ...], BeforeValidator(_split)]
Url = Annotated[str, AfterValidator(_check_url)]
Folder = Annotated[Path, BeforeValidator(_refuse_empty)]


def _default_database() -> str:
    return f"sqlite:///{platformdirs.user_data_path('panopticon') / 'panopticon.db'}"


class Settings(BaseModel):
    """Every setting, its default, and what it means (`panopticon settings` prints this table)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: Annotated[Url, BeforeValidator(_refuse_empty)] = Field(
        default_factory=_default_database, description="URL of whatever has no URL below: one SQLite file"
    )
    broker: Url = Field(default="", description="URL of the queues; empty: the database")
    store: Url = Field(
        default="", description="URL of outputs, failures, catalogue and registry; empty: the database"
    )
    search: Url = Field(default="", description="URL of the search index; empty: the database")
    originals: str = Field(
        default="", description="where an image without a URI lies: file:///photos/{image_id}"
    )
    file_roots: Folders = Field(
        default=(),
        description="folders from which file:// may be read; empty: any if the broker is SQLite, else none",
    )
    private_hosts: Entries = Field(
        default=(),
        description="hosts, host:port or networks from which http:// may be read though they are not public",
    )
    s3_endpoint: Url = Field(default="", description="URL of an S3 of your own; empty: Amazon's")
    s3_region: str = Field(default="", description="region of s3://; empty: as the AWS tools find it")
    s3_addressing: Literal["auto", "path", "virtual"] = Field(
        default="auto", description="where the bucket stands: in the path or in the host's name"
    )
    models: Names = Field(
        default=("tagger@1", "quality@1"), description="model versions `panopticon index` runs"
    )
    models_dir: Folder | None = Field(default=None, description="folder with model cards of your own")
    cache_dir: Folder = Field(
        default_factory=lambda: platformdirs.user_cache_path("panopticon"),
        description="converted models, keyed by digest; may be deleted at any time",
    )
    engine: str = Field(default="", description="keras or litert; empty: the first that the card allows")
    threads: Number = Field(default=0, ge=0, description="threads of a model process; 0: one per core")
    max_bytes: Number = Field(default=64 * 1024 * 1024, gt=0, description="largest original that is fetched")
    max_pixels: Number = Field(default=100_000_000, gt=0, description="largest picture that is decoded")
    fetch_timeout_s: Seconds = Field(default=20.0, description="for one original")
    item_timeout_s: Seconds = Field(
        default=60.0, description="for one decode or one run, before it is killed"
    )
    lease_s: Seconds = Field(default=60.0, description="a delivery not renewed for so long comes again")
    retry_delays_s: Delays = Field(
        default=(10.0, 60.0, 600.0, 3600.0), description="the retry delays; after the last: dead"
    )
    registry_every_s: Seconds = Field(
        default=5.0, description="between two readings of the registry; parked after three in vain"
    )
    backfill_waiting: Number = Field(
        default=1000, gt=0, description="most messages that `panopticon backfill` lets wait in its lane"
    )
    grace_s: Seconds = Field(default=25.0, description="time to finish what is held after SIGTERM")
    park_max_s: Seconds = Field(default=30.0, description="longest pause between two tries while parked")
    park_hold_s: Seconds = Field(
        default=60.0, description="parked for longer, a worker requeues what it has leased"
    )
    breaker_failures: Number = Field(
        default=10, gt=0, description="images in a row that fail before a host of originals is down"
    )
    dead_share: Share = Field(
        default=0.5, gt=0, le=1, description="park when more of the last 200 are dead; 1: never"
    )
    ready_file: Folder | None = Field(
        default=None, description="file touched every 5 s while work can be taken, removed while parked"
    )
    settle_s: Seconds = Field(
        default=10.0, description="time between the two readings that prove an image lost"
    )
    min_coverage: Share = Field(
        default=0.99,
        ge=0,
        le=1,
        description="to activate: share of the searchable images, of the old version's",
    )
    min_agreement: Share = Field(
        default=0.0, ge=0, le=1, description="to activate: share of images with the same best tag"
    )
    min_jaccard: Share = Field(
        default=0.0, ge=0, le=1, description="to activate: mean likeness of the sets of tags"
    )
    max_ks: Share = Field(
        default=1.0, ge=0, le=1, description="to activate: Kolmogorov–Smirnov statistic of any score"
    )
    max_waiting: Number = Field(default=1000, ge=0, description="to activate: messages on the results queue")
    report_max_age_s: Seconds = Field(
        default=86_400.0, description="to activate: a comparison that is older is made again"
    )

    @property
    def registry_max_age_s(self) -> float:
        """Who could not read the registry for so long parks."""
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
        """Whoever publishes to a broker must not choose any file of a worker's machine."""
        embedded = self.broker_url.startswith("sqlite:")
        return self.file_roots or ((Path("/"),) if embedded else ())

    def without_addresses(self) -> Settings:
        """The same, but of broker, store and search only the schemes, so no password: for a process that
        decodes what strangers send."""
        urls = {"database": self.database, "broker": self.broker, "store": self.store, "search": self.search}
        schemes = {part: re.sub("(?<=://).*", "", url, flags=re.DOTALL) for part, url in urls.items()}
        return self.model_copy(update=schemes)

    def as_environ(self) -> dict[str, str]:
        """The variables from which another process reads these very settings."""
        return {f"{PREFIX}{key.upper()}": _written(value) for key, value in self if value is not None}


class SettingRow(NamedTuple):
    """One line of the table of settings."""

    key: str
    default: str
    """As it would be written in the environment; empty where nothing is set."""
    description: str


def describe() -> Iterator[SettingRow]:
    """Every setting, in the order of `Settings`."""
    for key, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        yield SettingRow(key, _written(default), field.description or "")


def read_settings(
    *, flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None
) -> Settings:
    """Merge the three sources; a flag that is None was not given.

    Raises: SettingsError naming the key, where it was read and what it accepts.
    """
    layers = [
        (str(file), _from_file(file) if file else {}),
        (f"the environment ({PREFIX}…)", _from_environ(environ)),
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
    raise SettingsError(
        f"unknown setting {key!r} from {origin}{hint}; known: {', '.join(Settings.model_fields)}"
    )


def _refusal(key: str, origin: str, value: object, fault: str) -> str:
    what = fault.removeprefix("Value error, ").removeprefix("Input ")
    means = Settings.model_fields[key].description
    return f"setting {key!r} from {origin}{_shown(value)}: {what} ({means})"


def _shown(value: object) -> str:
    """Nothing where there is a colon: it may be a URL with a password in it."""
    text = repr(value)
    return "" if ":" in text else f" is {text:.60}"


def _written(value: object) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _from_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"settings file {file}: {error}") from None
    except RecursionError:
        raise SettingsError(f"settings file {file}: nested too deeply") from None


def _from_environ(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        key.removeprefix(PREFIX).lower(): value for key, value in environ.items() if key.startswith(PREFIX)
    }
