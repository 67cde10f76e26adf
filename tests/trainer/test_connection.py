"""The store that the bot keeps is found where the bot puts it; what goes wrong with one is a sentence."""

from pathlib import Path

import pytest
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ResponseError,
)
from redis.exceptions import ConnectionError as Unreachable

from bot.local.store import LocalStore
from tests.bot.store.servers import cluster, valkey
from trainer.connection import connect, default_url, store_errors
from trainer.errors import BadInput, StoreAway
from trainer.serving import Served, Serving


@pytest.mark.parametrize("folder", ["data", "a folder of 100 bytes" * 6])
def test_the_default_is_where_the_bot_keeps_its_store(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_url(tmp_path / folder) == LocalStore(tmp_path / folder / "store").url
    assert default_url(Path(folder)) == LocalStore(Path(folder) / "store").url


def test_a_store_that_runs_is_used(local_store: LocalStore) -> None:
    with connect(local_store.url) as client:
        assert client.ping()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("unix:///nowhere/store.sock", "No store answers at /nowhere/store.sock"),
        ("redis://user:secret@127.0.0.1:1", "No store answers at 127.0.0.1:1"),
        ("rediss://127.0.0.1:1?ssl_ca_certs=/nowhere.pem", "No store answers at 127.0.0.1:1"),
    ],
)
def test_a_store_that_does_not_answer_is_a_sentence(url: str, said: str) -> None:
    with pytest.raises(StoreAway, match=said) as error:
        connect(url)
    assert "secret" not in str(error.value)


def test_what_is_no_address_is_told() -> None:
    with pytest.raises(BadInput, match="no address"):
        connect("http://127.0.0.1:6379")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AuthenticationError("WRONGPASS"), "refuses the user"),
        (NoPermissionError("a key"), "store-users.acl"),
        (OutOfMemoryError("OOM"), "memory is full"),
        (ResponseError("what was to be stored"), "No store answers"),
        (Unreachable("no route"), "No store answers"),
    ],
)
def test_each_error_says_what_to_do_and_nothing_of_what_was_stored(error: Exception, said: str) -> None:
    with pytest.raises(StoreAway, match=said) as raised, store_errors():
        raise error
    assert "what was to be stored" not in str(raised.value)


def test_a_cluster_will_do(tmp_path: Path) -> None:
    with cluster(valkey(), tmp_path) as nodes, connect(nodes[0].url, cluster=True) as client:
        serving = Serving(client)
        served = Served("0001-3fa9c2d1", keys=("<s>",), trained_on={"corrections": 3}, since=5.0)
        serving.set_current(served)
        assert serving.current() == served
        assert serving.in_use() == {"0001-3fa9c2d1"}
        with serving.lease() as lease:
            assert lease.take()
            assert not serving.lease().take()
