"""`panopticon ids`: the group of the commands about the list of all image IDs."""

from __future__ import annotations

import click

from workers.cli.lazy_groups import LazyGroup


@click.group("ids", cls=LazyGroup, prefix="ids ")
def ids_command() -> None:
    """Print the list of all image IDs, or add images to it that an earlier release did not list."""
