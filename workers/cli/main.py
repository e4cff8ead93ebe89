"""The program `panopticon`: its options, its commands, and the exit codes of its errors."""

from __future__ import annotations

from workers.runtime.stop_signals import Interrupted, quiet_interrupts

# Within a block, because Ctrl-C may come as soon as the program starts.
with quiet_interrupts():
    import errno
    import os
    import sys
    from pathlib import Path
    from typing import Any

    import click

    from panopticon.credentials import masked
    from panopticon.errors import PanopticonError, Unavailable, UsageError
    from workers.cli.lazy_groups import LazyGroup
    from workers.cli.session import Session, check_current_folder
    from workers.runtime.child_processes import ERROR_PREFIX, ProcessEnded
    from workers.runtime.streams import ReaderGone, standard_streams
    from workers.runtime.terminal_text import printable, printable_lines

EXIT_USAGE = 2
EXIT_UNAVAILABLE = 69
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
"""The exit code that a shell reports for a program that SIGPIPE ended."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Program(LazyGroup):
    """The program itself, which looks for damage where a command fails as no command should."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (PanopticonError, click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except OSError:
            # A command that makes a path absolute fails on it before any setting is read.
            check_current_folder()
            raise
        except Exception:
            # What was read from a damaged database may be anything, and break whatever uses it.
            if ctx.obj and (damage := ctx.obj.damage()):
                raise damage from None
            raise


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="panopticon")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file [default: ./panopticon.toml].")
@click.option("--database", metavar="URL", help="URL of the SQLite database, such as sqlite:///photos.db.")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set any setting; `panopticon settings` lists them.",
)
@click.pass_context
def cli(context: click.Context, config: Path | None, database: str | None, sets: tuple[str, ...]) -> None:
    """Index every photo, lose none."""
    flags: dict[str, Any] = {}
    for pair in sets:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set takes KEY=VALUE, not {masked(pair)!r}")
        flags[key.strip()] = value
    # The option of its own wins over --set database=URL.
    if database is not None:
        flags["database"] = database
    context.obj = session = Session(flags, file=config)
    context.call_on_close(session.close)


def _one_line(error: click.ClickException) -> str:
    """Return click's message as one line, with the command that shows the help."""
    message = " ".join(error.format_message().split()).removesuffix(".")
    message = printable(masked(f"{message[:1].lower()}{message[1:]}"))
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message} ({context.command_path} --help)" if context else message


def main() -> None:
    """Run the program. A person's mistake is one line and exit code 2, a component that is down one line and
    69; any other exception is a bug and keeps its traceback."""
    # TensorFlow's messages would bury our one line; its errors are still printed.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with standard_streams():
            sys.exit(_exit_code())
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _exit_code() -> Any:
    """Run the command, print the line about an error, and return the exit code."""
    try:
        try:
            code = cli(prog_name="panopticon", standalone_mode=False)
        except SystemExit as ended:
            code = ended.code
        # What is left may be the first that cannot be written.
        sys.stdout.flush()
        return code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        return _failed(_one_line(error), EXIT_USAGE)
    # A shell reports a program that a signal ended by 128 and its number: 130 for SIGINT.
    except click.Abort as abort:
        return abort.__cause__.exit_code if isinstance(abort.__cause__, Interrupted) else EXIT_INTERRUPTED
    except UsageError as error:
        return _failed(str(error), EXIT_USAGE)
    except Unavailable as error:
        return _failed(str(error), EXIT_UNAVAILABLE)
    except ProcessEnded as error:
        return _failed(str(error), error.exit_code)
    except ReaderGone:
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.errno not in _FULL:
            raise
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return _failed(f"{place}the disk is full ({error.strerror}); make room on it", EXIT_UNAVAILABLE)


def _failed(message: str, code: int) -> int:
    sys.stderr.write(f"{ERROR_PREFIX}{printable_lines(message)}\n")
    return code


if __name__ == "__main__":
    main()
