"""What of files a prompt holds, and how."""

from hypothesis import given
from hypothesis import strategies as st

from bot.attachments import Attached, Attachment, cut
from bot.conversation import ConversationId, Exchange, Line, Turn, asked
from bot.store import claims, memory
from bot.store.sealing import Sealing

HERE = ConversationId("T1", "C1", "1.0")


def file(text: str, name: str = "a.txt", pages: int = 0) -> Attached:
    return Attached("F1", name, text, len(text), pages)


def test_a_question_stands_after_the_thread_and_the_files() -> None:
    message = asked("why?", [Line("1.0", "U1", "asha: hello")], [file("one"), file("two", "b.txt")])
    assert message.content == (
        "Earlier in this thread:\nasha: hello\n\n"
        "Attached file a.txt:\n```\none\n```\n\n"
        "Attached file b.txt:\n```\ntwo\n```\n\n"
        "The newest message:\nwhy?"
    )


def test_a_fence_is_longer_than_any_in_the_text() -> None:
    assert file("```python\n`````\n").block.endswith("\n`````\n\n``````")


def test_short_files_stay_whole_beside_a_long_one() -> None:
    short, long = cut([file("s" * 10), file("l" * 1000)], 110)
    assert (len(short.text), short.extent) == (10, "")
    assert (len(long.text), long.extent) == (100, "the first 100 of 1000 characters")
    assert long.percent == 10


def test_a_pdf_is_cut_between_pages_where_it_can_be() -> None:
    pages = "\f".join(f"page {number} " + "x" * 90 for number in range(10))
    (part,) = cut([file(pages, pages=10)], 450)
    assert part.text.count("\f") == 3
    assert part.extent == "the first 4 of 10 pages"
    assert part.percent == 40
    assert "[page 4]" in part.block
    assert "[page 5]" not in part.block


def test_text_is_cut_between_lines_where_it_can_be() -> None:
    (part,) = cut([file("a line\n" * 100)], 60)
    assert part.text == ("a line\n" * 8).rstrip("\n")


def test_where_nothing_fits_the_file_is_named() -> None:
    (part,) = cut([file("text")], 0)
    assert part.block == "Attached file a.txt: there is no room for it here."
    assert Attached("F1", "a.png").block == "Attached file a.png: it could not be read."


@given(st.lists(st.text(alphabet="ab\n\f", max_size=40), max_size=6), st.integers(-5, 200))
def test_a_cut_never_exceeds_its_room_and_wastes_none(texts: list[str], room: int) -> None:
    files = [file(text) for text in texts]
    kept = cut(files, room)
    assert sum(len(each.text) for each in kept) <= max(room, 0)
    assert all(whole.text.startswith(part.text) for whole, part in zip(files, kept, strict=True))
    if sum(map(len, texts)) <= room:
        assert list(kept) == files


def test_what_is_stored_of_files_comes_back_and_what_was_stored_before_there_were_any_too() -> None:
    for sealing in (Sealing((bytes(32),)), Sealing(())):
        turn = Turn(
            HERE, "1.0", "U1", "why?", files=(Attachment("F1", "a.txt", "text", 3, "https://files.slack.com/a"),)
        )
        assert claims.load(claims.dump(turn, sealing), str(HERE), sealing) == turn
        exchange = Exchange("1.0", "U1", "why?", "so", 9, attached=(file("one\ftwo", pages=3),))
        assert memory.load(memory.dump(exchange, str(HERE), sealing), str(HERE), sealing) == exchange
    plain = Sealing(())
    before = claims.dump(Turn(HERE, "1.0", "U1", "why?"), plain).replace(', "files": []', "")
    assert "files" not in before
    assert claims.load(before, str(HERE), plain).files == ()
    kept = memory.dump(Exchange("1.0", "U1", "why?", "so", 9), str(HERE), plain).replace(', "attached": []', "")
    assert "attached" not in kept
    assert memory.load(kept, str(HERE), plain).attached == ()
