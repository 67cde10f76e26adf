"""What stands under a finished answer: two buttons that ask how good it is. Pure."""

from bot.conversation import ConversationId, Turn
from bot.errors import NotUnderstood
from bot.slack import blocks
from bot.words import Words

FEEDBACK = "answer_feedback"
"""Id of the thumbs' action; its value is a bot.feedback.Rating."""


def below_answer(words: Words, turn: Turn) -> tuple[blocks.Block, ...]:
    """The blocks under the answer to `turn`, in the language of who asked.

    A click carries its block's id, and nothing else that tells which answer it is about where only one person sees it.
    """
    thumbs = blocks.feedback_buttons(FEEDBACK, up=words.say("feedback_up"), down=words.say("feedback_down"))
    return (blocks.context_actions([thumbs], block_id=place(turn.conversation, turn.ts)),)


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
