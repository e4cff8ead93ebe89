"""`panopticon policy check`: read a policy file and check it against a version."""

from __future__ import annotations

import click
from rich.text import Text

from panopticon.models import parse_version
from workers.cli.policy.arguments import file_argument, source_name, version_argument
from workers.cli.session import Session, json_option, pass_session, read_text
from workers.registry.policies import checked_policy, is_present_policy
from workers.registry.records import read_version


@click.command("check")
@version_argument
@file_argument
@json_option
@pass_session
def check_command(session: Session, *, name: str, file: str, as_json: bool) -> None:
    """Check whether a policy is valid for a version. Changes nothing."""
    version = parse_version(name)
    policy = checked_policy(read_text(file), source=source_name(file), version=version, store=session.store)
    _, entry = read_version(version, session.store.registry)
    differs = not is_present_policy(policy, entry)
    if as_json:
        session.print_json(
            {"model": str(version), "ok": True, "differs": differs, "policy": policy.model_dump(mode="json")}
        )
        return
    compared = f"{'differs from' if differs else 'is the same as'} policy {entry.policy_number}"
    session.out.print(Text(f"The policy is valid for {version}, and {compared}.", style="green"))
