"""The parts that all commands share: printing of errors, and the option ``-v``."""

from __future__ import annotations

import logging
from typing import Any

import click

from ganchain.errors import GanchainError, shown, text_of, traceback_of

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


class Group(click.Group):
    """A group whose commands print a GanchainError as one line, and all have the option ``-v``."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        if VERBOSE not in cmd.params:
            cmd.params.append(VERBOSE)
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GanchainError as error:
            click.secho("error: ", fg="red", nl=False, err=True)
            click.echo(str(error), err=True)
            click.echo(traceback_of(error), nl=False, err=True)
            logging.getLogger(__name__).debug("raised here:", exc_info=error)
            ctx.exit(2)
        except OSError as error:  # about a file that a command was given, as far as nobody else has explained it
            if error.filename is None:
                raise
            click.secho("error: ", fg="red", nl=False, err=True)
            click.echo(f"{shown(str(error.filename))}: {error.strerror or error}", err=True)
            logging.getLogger(__name__).debug("raised here:", exc_info=error)
            ctx.exit(2)


def print_failure(path: object, error: BaseException) -> None:
    """Print why the photo ``path`` failed; a bug is printed with its traceback."""
    click.secho(f"{path}: failed: {text_of(error, beside=path)}", fg="red", err=True)
    click.echo(traceback_of(error), nl=False, err=True)


class _ToStderr(logging.Handler):
    """A handler that prints log records to ``sys.stderr``, which is looked up for each record."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


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
