"""What stands under an answer: a button to stop it; when it is finished, how good it is, and another one. Pure."""

from bot.conversation import ConversationId, Turn
from bot.errors import NotUnderstood
from bot.slack import blocks
from bot.words import Words

FEEDBACK = "answer_feedback"
"""Id of the thumbs' action; its value is a bot.feedback.Rating."""

REGENERATE = "answer_again"
"""Id of the button that has the question answered once more; its value is a place."""
STOP = "answer_stop"
"""Id of the button under an answer that is being written; its value is a place."""


def below_answer(words: Words, turn: Turn) -> tuple[blocks.Block, ...]:
    """The blocks under the answer to `turn` in its thread."""
    once_more = blocks.button(words.say("answer_again"), REGENERATE, value=place(turn.conversation, turn.ts))
    return thumbs(words, turn), blocks.actions([once_more])


def thumbs(words: Words, turn: Turn) -> blocks.Block:
    """The row that asks how good the answer to `turn` is, in the language of who asked.

    A click carries its block's id, and nothing else that tells which answer it is about where only one person sees it.
    """
    buttons = blocks.feedback_buttons(FEEDBACK, up=words.say("feedback_up"), down=words.say("feedback_down"))
    return blocks.context_actions([buttons], block_id=place(turn.conversation, turn.ts))


def while_written(words: Words, turn: Turn) -> tuple[blocks.Block, ...]:
    """The blocks under the answer to `turn` as long as it grows."""
    return (blocks.actions([blocks.button(words.say("answer_stop"), STOP, value=place(turn.conversation, turn.ts))]),)


def place(conversation: ConversationId, ts: str) -> str:
    """An answer, by its question: what buttons that are about it carry."""
    return f"{conversation}/{ts}"


def placed(text: str) -> tuple[ConversationId, str]:
    """The inverse of `place`. Raises NotUnderstood."""
    where, _, ts = text.rpartition("/")
    try:
        return ConversationId.parse(where), ts
    except ValueError:
        raise NotUnderstood("block_id") from None
