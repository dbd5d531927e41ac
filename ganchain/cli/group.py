"""The parts that all commands share: printing of errors, and the option ``-v``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any

import click

from ganchain.errors import GanchainError, plain, shown, text_of, traceback_of

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


class Group(click.Group):
    """A group whose commands print a GanchainError as one line, refuse empty arguments, and all have ``-v``."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        if VERBOSE not in cmd.params:
            cmd.params.append(VERBOSE)
        super().add_command(cmd, name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for number, argument in enumerate(args, start=1):
            option, equals, value = argument.partition("=")
            if not argument.strip() or (option.startswith("--") and equals and not value.strip()):
                what = f"{option} is" if option.strip() else f"argument {number} is"
                raise click.UsageError(f"{what} empty; a variable without a value?", ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = plain(error.message)  # type: ignore[misc]  # it names what the user typed
            raise
        except GanchainError as error:
            echo("error: ", fg="red", nl=False, err=True)
            echo(str(error), err=True)
            echo(traceback_of(error), nl=False, err=True)
            logging.getLogger(__name__).debug("raised here:", exc_info=error)
            ctx.exit(2)
        except OSError as error:  # about a file that a command was given, as far as nobody else has explained it
            if error.filename is None:
                raise
            echo("error: ", fg="red", nl=False, err=True)
            echo(f"{shown(str(error.filename))}: {error.strerror or error}", err=True)
            logging.getLogger(__name__).debug("raised here:", exc_info=error)
            ctx.exit(2)


def echo(text: str, *, err: bool = False, fg: str | None = None, nl: bool = True) -> None:
    """Print ``text``; what the terminal would obey or cannot show, as some file names have, is replaced by "?"."""
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    shown = plain(text, lines=True).encode(encoding, "replace").decode(encoding)
    click.secho(shown, fg=fg, err=err, nl=nl)


def print_failure(path: object, error: BaseException) -> None:
    """Print why the photo ``path`` failed; a bug is printed with its traceback."""
    echo(plain(f"{path}: failed: {text_of(error, beside=path)}"), fg="red", err=True)
    echo(traceback_of(error), nl=False, err=True)


def print_passed(lines: Iterable[str]) -> None:
    """Print what was passed over in folders."""
    for line in lines:
        echo(line, err=True)


class _ToStderr(logging.Handler):
    """A handler that prints log records to ``sys.stderr``, which is looked up for each record."""

    def emit(self, record: logging.LogRecord) -> None:
        echo(self.format(record), err=True)


def _log(ctx: click.Context, parameter: click.Parameter, count: int) -> None:
    """Print what ganchain logs, from now to the end of the command; -v before and after its name add up."""
    root = ctx.find_root()
    root.meta["ganchain.verbose"] = count = count + root.meta.get("ganchain.verbose", 0)
    if not count:
        return
    logger = logging.getLogger("ganchain")
    logger.setLevel(LEVELS[min(count, len(LEVELS) - 1)])
    if not any(isinstance(handler, _ToStderr) for handler in logger.handlers):
        handler = _ToStderr()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        root.call_on_close(lambda: logger.removeHandler(handler))
        root.call_on_close(lambda: logger.setLevel(logging.NOTSET))


VERBOSE = click.Option(
    ["-v", "--verbose"], count=True, expose_value=False, callback=_log, help="Say what happens; -vv: in detail."
)
