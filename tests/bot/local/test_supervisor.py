import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import CapturingLogger

from bot.errors import LocalPartError
from bot.local import supervisor
from bot.local.supervisor import SupervisedChild

Until = Callable[[Callable[[], bool]], Awaitable[None]]
WAIT = "import signal; signal.pause()"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    log = CapturingLogger()
    monkeypatch.setattr(supervisor, "log", log)
    return log


def logged(log: CapturingLogger, event: str) -> list[dict[str, Any]]:
    return [call.kwargs for call in log.calls if call.args == (event,)]


class Nursery:
    """Makes children out of Python programs; each is ready once it has made the file `ready`."""

    def __init__(self, directory: Path) -> None:
        self.ready_path = directory / "ready"
        self.log_path = directory / "child.log"
        self.children: list[SupervisedChild] = []

    def child(self, program: str, *, command: list[str] | None = None) -> SupervisedChild:
        async def is_ready() -> bool:
            return self.ready_path.exists()

        program = f"from pathlib import Path; READY = Path({str(self.ready_path)!r})\n{program}"
        child = SupervisedChild(
            "test part",
            command or [sys.executable, "-c", program],
            log_path=self.log_path,
            is_ready=is_ready,
            ready_timeout_seconds=2.0,
            stop_timeout_seconds=0.3,
        )
        self.children.append(child)
        return child


@pytest.fixture
async def nursery(tmp_path: Path) -> AsyncIterator[Nursery]:
    nursery = Nursery(tmp_path)
    yield nursery
    for child in nursery.children:
        await child.stop()


async def test_start_returns_when_the_child_is_ready(nursery: Nursery) -> None:
    child = nursery.child(f"print('hello', flush=True); READY.touch(); {WAIT}")

    await child.start()

    assert nursery.log_path.read_text() == "hello\n"
    assert child.pid is not None
    assert os.getsid(child.pid) != os.getsid(0), "Ctrl-C in the terminal would reach the child"


async def test_a_child_that_ends_at_once_is_told_in_one_sentence(nursery: Nursery) -> None:
    child = nursery.child("import sys; print('noise', flush=True); sys.exit('\\x1b[31mno space left\\x1b[0m\\n')")

    with pytest.raises(LocalPartError) as raised:
        await child.start()

    sentence = str(raised.value)
    assert sentence.startswith("The test part ended at once (exit status 1): noise / no space left")
    assert str(nursery.log_path) in sentence
    assert "\n" not in sentence
    assert child.pid is None


async def test_a_child_that_crashes_is_told_with_its_signal(nursery: Nursery) -> None:
    child = nursery.child("import os; os.abort()")

    with pytest.raises(LocalPartError, match=r"ended at once \(killed by SIGABRT\)"):
        await child.start()


async def test_a_child_that_is_never_ready_is_ended(nursery: Nursery) -> None:
    child = nursery.child(WAIT)

    with pytest.raises(LocalPartError, match=r"The test part was not ready after 2 s"):
        await child.start()

    assert child.pid is None


async def test_a_program_that_is_not_there_gets_a_sentence(nursery: Nursery) -> None:
    child = nursery.child("", command=["/no/such/program"])

    with pytest.raises(LocalPartError, match=r"/no/such/program: No such file or directory"):
        await child.start()


async def test_a_log_that_cannot_be_written_gets_a_sentence(nursery: Nursery, tmp_path: Path) -> None:
    nursery.log_path = tmp_path / "absent" / "child.log"
    child = nursery.child(WAIT)

    with pytest.raises(LocalPartError, match=r"cannot be started: .*No such file"):
        await child.start()


async def test_a_killed_child_is_started_again(nursery: Nursery, until: Until, log: CapturingLogger) -> None:
    child = nursery.child(f"READY.touch(); {WAIT}")
    await child.start()
    first = child.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    await until(lambda: len(logged(log, "child_restarted")) == 1)

    assert child.pid not in (None, first)
    assert logged(log, "child_died")[0]["how"] == "killed by SIGKILL"


async def test_a_child_that_keeps_dying_is_given_longer_and_longer_pauses(
    nursery: Nursery, until: Until, log: CapturingLogger
) -> None:
    first_start = "FIRST = READY.with_name('first'); assert not FIRST.exists(), 'spoilt'; FIRST.touch()"
    child = nursery.child(f"{first_start}; READY.touch(); {WAIT}")
    await child.start()
    assert child.pid is not None
    nursery.ready_path.unlink()

    os.kill(child.pid, signal.SIGKILL)
    await until(lambda: len(logged(log, "child_died")) == 3)

    assert [death["pause_seconds"] for death in logged(log, "child_died")] == [0.1, 0.2, 0.4]
    assert "AssertionError: spoilt" in logged(log, "child_not_restarted")[0]["reason"]


async def test_stop_lets_a_child_end_in_order(nursery: Nursery) -> None:
    child = nursery.child(
        "import signal, sys\n"
        "def end(*_):\n    print('ended in order', flush=True)\n    sys.exit(0)\n"
        f"signal.signal(signal.SIGTERM, end); READY.touch(); {WAIT}"
    )
    await child.start()

    await child.stop()

    assert nursery.log_path.read_text() == "ended in order\n"
    assert child.pid is None


async def test_stop_kills_a_child_that_does_not_heed_it(nursery: Nursery) -> None:
    child = nursery.child(
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nREADY.touch()\nwhile True: signal.pause()"
    )
    await child.start()
    pid = child.pid
    assert pid is not None

    async with asyncio.timeout(5):
        await child.stop()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_stop_in_the_middle_of_a_restart_leaves_nothing(nursery: Nursery, until: Until) -> None:
    child = nursery.child(f"READY.touch(); {WAIT}")
    await child.start()
    assert child.pid is not None
    nursery.ready_path.unlink()

    os.kill(child.pid, signal.SIGKILL)
    await until(lambda: child.pid is None)
    await until(lambda: child.pid is not None)
    restarted = child.pid
    await child.stop()
    await child.stop()

    assert restarted is not None
    with pytest.raises(ProcessLookupError):
        os.kill(restarted, 0)


async def test_the_log_of_the_last_run_is_kept(nursery: Nursery) -> None:
    for word in ("first", "second", "third"):
        child = nursery.child(f"print({word!r}, flush=True); READY.touch(); {WAIT}")
        await child.start()
        await child.stop()
        nursery.ready_path.unlink()

    assert nursery.log_path.read_text() == "third\n"
    assert nursery.log_path.with_suffix(".log.1").read_text() == "second\n"
