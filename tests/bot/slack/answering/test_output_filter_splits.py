"""However a model's text comes in pieces, the same is shown, and nothing that was shown is taken back."""

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.slack.answering.output_filter import OutputFilter

HOSTS = ["good.example", "*.team.example"]
HEARD = ["see https://heard.example/a?b=1 (https://heard.example/x), bare.com and mail@bare.com"]
PARTS = [
    *("https://evil.com/", "https://good.example/a", "https://heard.example/a?b=1", "http", "://", ":", "//", "www."),
    *("evil.com", "bare.com", "mail@bare.com", ".com", ".", "README.md", "/", "?q=", "@", "@here", "@U0ABC", "mailto:"),
    *("[", "]", "(", ")", "](", "[a](b)", "[r]: ", "![", "!", "<", ">", "<!channel>", "<@U1>", "<https://x.com|y>"),
    *("]\\(", "]\\:", "[word", "](https://heard.example/x)", "[- ", "[```](", "&#96;", "&#45; ", "1&#46; ", " ` "),
    *("~~~\n", "evil-host.com", "10000. ", "       ", "| ` ", " | ` |\n"),
    *(
        "`",
        "``",
        "```",
        "~~~",
        "```python\n",
        "\\",
        "\\.",
        "&",
        "&amp;",
        "&#58;",
        "&lt",
        ";",
        "#",
        "# ",
        "- ",
        "1. ",
        "> ",
    ),
    *(
        "    ",
        "\t",
        " ",
        " ",
        "\n",
        "\n",
        "\n\n",
        "| a | b |\n",
        "|---|---|\n",
        "*",
        "**",
        "_",
        "'",
        '"',
        ",",
        "=",
        "-",
    ),
    *(
        "a",
        "word",
        "Z",
        "7",
        "हिन्दी",
        "日本",
        "。",
        "é",
        "🤔",
        "\u200b",
        "\u200d",
        "\u2028",
        "\r",
        "\xa0",
        "\0",
        "{",
        "|",
    ),
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=40).map("".join) | st.text(max_size=80)
MANY = settings(max_examples=3000, suppress_health_check=[HealthCheck.too_slow])


def new() -> OutputFilter:
    output = OutputFilter(HOSTS)
    output.hear(HEARD)
    return output


def whole(text: str) -> str:
    output = new()
    output.write(text)
    return output.whole()


@MANY
@given(TEXTS, st.lists(st.integers(0, 10_000), max_size=8))
def test_pieces_show_what_the_whole_shows(text: str, cuts: list[int]) -> None:
    expected = whole(text)
    output, shown = new(), ""
    borders = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    for start, end in pairwise(borders):
        output.write(text[start:end])
        assert output.so_far.startswith(shown), "what was shown was taken back"
        shown = output.so_far
        assert expected.startswith(shown), "what was shown is not what the whole shows"
    assert output.whole() == expected


@settings(MANY, max_examples=1000)
@given(TEXTS)
def test_letter_by_letter(text: str) -> None:
    expected, output = whole(text), new()
    for letter in text:
        output.write(letter)
        assert expected.startswith(output.so_far)
    assert output.whole() == expected
