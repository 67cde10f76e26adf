"""The store's users, as deploy/store-users.acl has them: their rights, and a server that knows them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bot.store.servers import Server, debians_redis, running

USERS = Path(__file__).resolve().parent.parent / "deploy" / "store-users.acl"
OF_CLUSTERS = frozenset({"command", "cluster|slots", "asking"})
"""What a client asks of a cluster besides: who has which slot, and the way while one moves."""


def rights(user: str) -> frozenset[str]:
    """The commands that `user` may use."""
    (line,) = re.findall(rf"^user {user} (.*)$", USERS.read_text(), re.MULTILINE)
    return frozenset(re.findall(r"\+(\S+)", line))


@contextmanager
def with_users(folder: Path, *, without: str = "") -> Iterator[Server]:
    """Debian's Redis with these users, asked as `dolly`; `without` a right that the file gives."""
    folder.mkdir(exist_ok=True)
    (folder / "users.acl").write_text(USERS.read_text().replace("CHANGE-ME", "secret").replace(without, ""))
    url = "redis://dolly:secret@{host}:{port}"
    with running(debians_redis(), folder / "redis", url=url, aclfile=str(folder / "users.acl")) as server:
        yield server


def as_trainer(server: Server) -> str:
    """The address of the same server for `dolly-trainer`."""
    return server.url.replace("//dolly:", "//dolly-trainer:")
