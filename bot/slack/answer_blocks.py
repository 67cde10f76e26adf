"""What stands under a finished answer: two buttons that ask how good it is. Pure."""

from bot.slack import blocks
from bot.words import Words

FEEDBACK = "answer_feedback"
"""Id of the thumbs' action; its value is a bot.feedback.Rating."""


def below_answer(words: Words) -> tuple[blocks.Block, ...]:
    """The blocks under an answer, in the language of who asked."""
    thumbs = blocks.feedback_buttons(FEEDBACK, up=words.say("feedback_up"), down=words.say("feedback_down"))
    return (blocks.context_actions([thumbs]),)
