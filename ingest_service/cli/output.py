"""How commands end: one message for a person, and an exit code for a machine.

0 good · 1 found something wrong, or a server cannot be asked · 2 used or set up wrongly ·
70 a bug of ours · 130 interrupted.
"""

import asyncio
import errno
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import typer

from ingest_service import interruption
from ingest_service.errors import IngestError, SetupError
from ingest_service.interruption import INTERRUPTED

FOUND_WRONG = 1
SET_UP_WRONGLY = 2
BUG = 70

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part to its end, on uvloop where there is one."""
    run_loop = _runner()
    interruption.raise_again()
    result: T = run_loop(_interruptible(work))
    return result


def run_worker(work: Coroutine[Any, Any, None]) -> None:
    """Run a worker: how it ends is a line of its log like any other, for nobody sits beside it."""
    try:
        run(work)
    except Exception as exc:  # noqa: BLE001 - the last one to hear of it
        raise typer.Exit(_logged_end(exc)) from None


def _logged_end(exc: Exception) -> int:
    import structlog  # noqa: PLC0415 - not for --help

    log = structlog.get_logger(__name__)
    reasons = list(leaves(exc))
    bug = next((reason for reason in reasons if not isinstance(reason, IngestError)), None)
    if bug is not None:
        log.critical("worker failed: please report this as a bug", exit_code=BUG, exc_info=bug)
        return BUG
    code = _exit_code(reasons)
    why = "; ".join(dict.fromkeys(map(str, reasons)))
    log.critical("worker ended", exit_code=code, why=why)
    return code


def _runner() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform, and not for every command
    except ImportError:
        return asyncio.run
    return uvloop.run


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Let Ctrl-C stay Ctrl-C: aiokafka turns the cancellation into an error of its own."""
    task = asyncio.current_task()
    assert task is not None
    try:
        return await work
    except Exception:
        if task.cancelling():
            raise asyncio.CancelledError from None
        raise


def ended(command: Callable[[], object]) -> int:
    """Call the command and return its exit code; say on standard error what went wrong.

    Only what we wrote ourselves is said: another exception's text may hold an event's content.
    """
    try:
        command()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as exc:  # noqa: BLE001 - the last one to hear of it
        return _explained(exc)
    return 0


def _explained(exc: Exception) -> int:
    if isinstance(exc, OSError) and exc.errno in _FULL:  # commands write nothing but their output
        say(f"the output cannot be written: {exc.strerror}")
        return FOUND_WRONG
    reasons = list(leaves(exc))
    if not all(isinstance(reason, IngestError) for reason in reasons):
        _say_bug(exc)
        return BUG
    for message in dict.fromkeys(map(str, reasons)):
        say(message)
    return _exit_code(reasons)


def _exit_code(reasons: list[BaseException]) -> int:
    hopeless = any(isinstance(reason, SetupError) for reason in reasons)
    return SET_UP_WRONGLY if hopeless else FOUND_WRONG


def leaves(exc: BaseException) -> Iterator[BaseException]:
    """Yield what a group of exceptions holds, or the exception itself."""
    if isinstance(exc, BaseExceptionGroup):
        for inner in exc.exceptions:
            yield from leaves(inner)
    else:
        yield exc


def say(message: str) -> None:
    """Tell a person, apart from what a machine reads on standard output."""
    typer.echo(f"ingest-service: {message}", err=True)


def _say_bug(exc: BaseException) -> None:
    from ingest_service.telemetry.logs import say_exception, where  # noqa: PLC0415 - rarely needed

    say(f"unexpected {say_exception(exc)}: please report this, with the lines below")
    for inner in leaves(exc):
        for place in where(inner):
            typer.echo(f"  {place}", err=True)
