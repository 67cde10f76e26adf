"""A data set as a model sees it: tokens, coloured by whether they are learned."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text
from tokenizers import AddedToken
from transformers import AutoTokenizer

from trainer.datasets import read_split
from trainer.errors import BadInput
from trainer.template import DOLLY_KEYS, Encoded, Template, dolly_template, own_template

LEARNED = ("black on green3", "black on pale_green1")
"""In turns, so that one sees where a token ends."""
READ = ("grey70 on grey23", "grey70 on grey30")
BROKEN = "\N{REPLACEMENT CHARACTER}"
VISIBLE = {code: chr(0x2400 + code) for code in range(32) if chr(code) != "\n"} | {
    0x7F: "\N{SYMBOL FOR DELETE}",
    **dict.fromkeys(range(0x80, 0xA0), BROKEN),
}
"""What a record may hold and a terminal would obey."""


def show_dataset(
    dataset: Path, base: Path, *, template: str, split: str, number: int, console: Console | None = None
) -> None:
    """Print the first `number` records of a split in the tokens of `base`. Raises BadInput, NotWhole."""
    console = console or Console()
    if split not in ("train", "held_out"):
        raise BadInput(f"A data set has the splits train and held_out, and no {split}.")
    records = read_split(dataset, "train" if split == "train" else "held_out")
    tokenizer = _tokenizer(base)
    chosen = _template(tokenizer, template)
    _print_legend(console)
    for record in records[:number]:
        encoded = chosen.encode(record.messages)
        tokens, learned = len(encoded.input_ids), sum(encoded.loss_mask)
        console.rule(f"{escape(record.id)}: {tokens} tokens, {learned} of them learned", align="left")
        console.print(coloured(tokenizer, encoded, in_colour=console.color_system is not None), soft_wrap=True)


def coloured(tokenizer: Any, encoded: Encoded, *, in_colour: bool = True) -> Text:
    """The tokens as one text; without colours what is learned stands between ⟦ and ⟧."""
    text, before = Text(), False
    for index, (piece, is_learned) in enumerate(_pieces(tokenizer, encoded)):
        if not in_colour and is_learned is not before:
            text.append("⟦" if is_learned else "⟧")
        before = is_learned
        styles = LEARNED if is_learned else READ
        text.append(piece.translate(VISIBLE).replace("\n", "⏎\n"), styles[index % 2])
    if not in_colour and before:
        text.append("⟧")
    return text


def _pieces(tokenizer: Any, encoded: Encoded) -> Iterator[tuple[str, bool]]:
    """Text of each token, or of the few that share one character, and whether it is learned."""
    held: list[int] = []
    tokens = list(zip(encoded.input_ids, encoded.loss_mask, strict=True))
    for index, (token, is_learned) in enumerate(tokens):
        held.append(token)
        piece = tokenizer.decode(held, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        is_border = index + 1 == len(tokens) or tokens[index + 1][1] is not is_learned
        if BROKEN not in piece or is_border or len(held) == 4:  # UTF-8 has at most four bytes a character
            yield piece, is_learned
            held = []


def _tokenizer(base: Path) -> Any:
    if not base.is_dir():
        raise BadInput(f"There is no directory {base}.")
    try:
        return AutoTokenizer.from_pretrained(base, local_files_only=True)
    except (OSError, ValueError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadInput(f"{base} has no tokenizer that can be read: {first}") from None


def _template(tokenizer: Any, name: str) -> Template:
    if name == "own":
        return own_template(tokenizer)
    if name != "dolly":
        raise BadInput(f"A template is own or dolly, and not {name}.")
    # Which rows they take is for tune to say; here only their borders count.
    tokenizer.add_tokens([AddedToken(key, special=True, normalized=False) for key in DOLLY_KEYS], special_tokens=True)
    return dolly_template(tokenizer)


def _print_legend(console: Console) -> None:
    if console.color_system is None:
        console.print("⟦learned⟧ read")
    else:
        console.print(Text.assemble((" learned ", LEARNED[0]), " ", (" read ", READ[0])))
