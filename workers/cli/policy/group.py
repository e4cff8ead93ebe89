"""`panopticon policy`: the group of the commands that show and change policies."""

from __future__ import annotations

import click

from workers.cli.lazy_groups import LazyGroup


@click.group("policy", cls=LazyGroup, prefix="policy ")
def policy_command() -> None:
    """Show and change the policy of a model version: thresholds, hidden, renamed and rolled-up tags."""
