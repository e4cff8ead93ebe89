"""docker-compose.yml and what it mounts, read as docker compose reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
FOLDER = ROOT / "deploy" / "compose"
EXAMPLE = FOLDER / "example.env"

PASSWORDS = ("RABBITMQ_PASSWORD", "CASSANDRA_PASSWORD", "CASSANDRA_ADMIN_PASSWORD")
ENVIRON = {name: f"{name.lower()}x" for name in PASSWORDS}

_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?:(?P<kind>:[-?])(?P<rest>[^}]*))?\}")


class UnsetError(Exception):
    """A variable that must be set is not set."""


def filled(text: str, environ: Mapping[str, str]) -> str:
    """Return the text with its variables filled in as docker compose does. Raises: UnsetError."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if found := environ.get(match["name"]):
            return found
        if match["kind"] == ":?":
            raise UnsetError(f"{match['name']}: {match['rest']}")
        return match["rest"] or ""

    return _VARIABLE.sub(value, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service, its anchors merged and its variables filled in."""

    name: str
    spec: Mapping[str, Any]

    def __str__(self) -> str:
        return self.name

    @property
    def ours(self) -> bool:
        """Return whether it runs our image, which has its own health check and entry point."""
        return "build" in self.spec

    @property
    def arguments(self) -> list[str]:
        """The arguments of `panopticon`, in a service of ours."""
        entrypoint = list(self.spec.get("entrypoint", ["panopticon"]))
        return [*entrypoint[1:], *self.spec["command"]]

    @property
    def environment(self) -> Mapping[str, str]:
        environ: Mapping[str, str] = self.spec.get("environment", {})
        return environ

    @property
    def mounts(self) -> list[tuple[str, str]]:
        """The mounts: a path of the checkout or the name of a volume, and its path in the container."""
        return [(volume.split(":")[0], volume.split(":")[1]) for volume in self.spec.get("volumes", [])]


def raw() -> dict[str, Any]:
    """Return docker-compose.yml with its variables not filled in."""
    spec: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return spec


def project(environ: Mapping[str, str] = ENVIRON) -> dict[str, Any]:
    """Return docker-compose.yml with its variables filled in. Raises: UnsetError."""
    return {key: _filled_in(value, environ) for key, value in raw().items()}


def services() -> list[Service]:
    """Return the services in the order of the file."""
    return [Service(name=name, spec=spec) for name, spec in project()["services"].items()]


def example() -> dict[str, str]:
    """Return the variables of deploy/compose/example.env."""
    lines = [line for line in EXAMPLE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _filled_in(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled_in(inner, environ) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled_in(inner, environ) for inner in value]
    return filled(value, environ) if isinstance(value, str) else value
