"""Entry of the command ``mercato``."""

from __future__ import annotations

import asyncio
import os
import sys

import grpc

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
    except SomeRejected as error:
        return _fail(str(error), error.exit_code, "note")
    except (CliError, SupervisorError) as error:
        return _fail(str(error), EXIT_FAILED)
    except grpc.aio.AioRpcError as error:
        return _fail(explain(error, address_in(hoisted)), EXIT_FAILED)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    except BrokenPipeError:
        # The reader of a pipe left: say nothing, and keep Python from flushing into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return 0


def _fail(message: str, code: int, word: str = "error") -> int:
    sys.stderr.write(f"{word}: {message}\n")
    return code


if __name__ == "__main__":
    main()
