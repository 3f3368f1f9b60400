"""Entry of the command ``mercato``."""

from __future__ import annotations

import asyncio
import os
import sys

import grpc
from pydantic import ValidationError

from services.cli.app import app
from services.cli.arguments import address_in, hoist
from services.cli.errors import EXIT_FAILED, EXIT_REJECTED, EXIT_USAGE, CliError, SomeRejected, explain
from services.supervisor.errors import SupervisorError


def main() -> None:
    """Runs one command; expected failures are a line on standard error, never a stack trace."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code: 0 done, 1 failed, 2 done but some items were rejected, 64 the command line is wrong."""
    hoisted = hoist(arguments)
    try:
        app(args=hoisted, prog_name="mercato")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else EXIT_FAILED
        return EXIT_USAGE if code == EXIT_REJECTED else code
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    except BrokenPipeError:
        # The reader of a pipe left: say nothing, and keep Python from flushing into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except EXPECTED as error:
        return _told(error, hoisted)
    return 0


EXPECTED = (SomeRejected, CliError, SupervisorError, grpc.aio.AioRpcError, ValidationError, UnicodeError, OSError)


def _told(error: Exception, arguments: list[str]) -> int:
    """One line for an expected failure."""
    if isinstance(error, SomeRejected):
        return _fail(str(error), error.exit_code, "note")
    if isinstance(error, grpc.aio.AioRpcError):
        return _fail(explain(error, address_in(arguments)), EXIT_FAILED)
    if isinstance(error, ValidationError):
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return _fail(f"configuration: {wrong}", EXIT_USAGE)
    if isinstance(error, UnicodeError):
        return _fail("an argument holds bytes that are no UTF-8", EXIT_USAGE)
    return _fail(str(error), EXIT_FAILED)


def _fail(message: str, code: int, word: str = "error") -> int:
    sys.stderr.write(f"{word}: {message}\n")
    return code


if __name__ == "__main__":
    main()
