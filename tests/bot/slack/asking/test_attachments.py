"""Files on messages: noted off the event, looked up where Slack does not tell, read or not and why."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.web.async_client import AsyncWebClient

from bot.access import FileLimits
from bot.attachments import Attached
from bot.errors import SlackUnreachable
from bot.local.workspace import Workspace
from bot.slack.asking.attachments import Attachments, attachments_of
from bot.slack.asking.downloads import Downloads
from bot.slack.hosts import SlackHosts
from bot.words import Words
from tests.bot.slack.conftest import ASHA, GENERAL
from tests.pdfs import pdf
from tests.scenarios.faults import Faults

CONNECT = {"id": "F0CONNECT", "mode": "file_access", "file_access": "check_file_info", "created": 0, "user": ""}


@pytest.fixture
async def reader(workspace: Workspace, client: AsyncWebClient) -> AsyncIterator[Attachments]:
    async with aiohttp.ClientSession() as session:
        downloads = Downloads(session, workspace.identity.bot_token, SlackHosts(workspace.api_url))
        yield Attachments(client, downloads, FileLimits(file_kb=20, question_kb=30, seconds=10))


async def shared(workspace: Workspace, *files: tuple[str, bytes]) -> list[dict[str, Any]]:
    """The files of a message in #general, as an event has them."""
    message = await workspace.people.share(ASHA, GENERAL, list(files))
    found: list[dict[str, Any]] = message["files"]
    return found


async def read(reader: Attachments, *files: object) -> list[Attached]:
    return await reader.read(attachments_of({"files": list(files)}), Words())


async def test_files_are_fetched_and_read(workspace: Workspace, reader: Attachments) -> None:
    files = await shared(workspace, ("a.py", b"print(1)\n"), ("b.pdf", pdf("Hello")))
    assert [(each.name, each.text, each.unread) for each in await read(reader, *files)] == [
        ("a.py", "print(1)\n", ""),
        ("b.pdf", "Hello", ""),
    ]


async def test_of_another_company_s_file_slack_is_asked(workspace: Workspace, reader: Attachments) -> None:
    (file,) = await shared(workspace, ("plan.txt", b"ship it"))
    (found,) = await read(reader, CONNECT | {"id": file["id"]})
    assert (found.text, found.name) == ("ship it", file["id"])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("missing_scope", "the scope `files:read`"),
        ("access_denied", "Slack did not let me have it"),
        ("file_not_found", "not in Slack any more"),
        ("file_deleted", "not in Slack any more"),
    ],
)
async def test_what_slack_does_not_give_is_said(faults: Faults, reader: Attachments, error: str, sentence: str) -> None:
    faults.always("files.info", error)
    (found,) = await read(reader, CONNECT)
    assert sentence in found.unread


async def test_a_slack_that_is_ill_is_asked_later(faults: Faults, reader: Attachments) -> None:
    faults.always("files.info", 503)
    with pytest.raises(SlackUnreachable):
        await read(reader, CONNECT)


async def test_a_file_that_lies_elsewhere_is_not_fetched(workspace: Workspace, reader: Attachments) -> None:
    (file,) = await shared(workspace, ("a.txt", b"x"))
    away = {"url_private": "https://docs.example/a", "url_private_download": None, "is_external": True}
    (found,) = await read(reader, file | away)
    assert "does not lie in Slack itself" in found.unread


async def test_a_declared_size_is_believed_and_a_false_one_found_out(workspace: Workspace, reader: Attachments) -> None:
    small, large = await shared(workspace, ("s.txt", b"s" * 100), ("l.txt", b"l" * 20_001))
    found = await read(reader, small | {"size": 20_001}, large | {"size": 5}, small)
    assert [each.unread[:20] for each in found] == ["I did not read `s.tx", "I did not read `l.tx", ""]


async def test_a_picture_is_not_even_fetched(workspace: Workspace, reader: Attachments) -> None:
    (file,) = await shared(workspace, ("cat.png", b"\x89PNG"))
    (found,) = await read(reader, file | {"url_private_download": "http://127.0.0.1:1/none"})
    assert "I read text, code and PDF files" in found.unread


def test_a_name_cannot_break_out_of_where_it_stands() -> None:
    (found,) = attachments_of({"files": [{"id": "F1", "name": "a`\n<!channel>\u2028\x00.txt" + "x" * 500}]})
    assert found.name.startswith("a !channel .txt")
    assert len(found.name) == 120
    (nameless,) = attachments_of({"files": [{"id": "F1", "name": "`"}]})
    assert nameless.name == "F1"


def test_files_that_were_taken_back_count_for_none() -> None:
    assert attachments_of({"files": [{"id": "F1", "mode": "tombstone"}, None, {"name": "x"}, {"id": "F/1"}]}) == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "F1", "a.txt", "tombstone"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "mode", "size", "url_private"]), inner)
    ),
    max_leaves=9,
)


@given(st.fixed_dictionaries({}, optional={"files": json_values}))
def test_no_list_of_files_is_too_odd(message: dict[str, Any]) -> None:
    assert len(attachments_of(message)) <= 10
