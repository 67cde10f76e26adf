"""What is shown of feedback: the note of what was kept, and the form "Fix this answer". Pure."""

from bot.conversation import ConversationId
from bot.feedback import COMMENT_CHARACTERS, CORRECTION_CHARACTERS, Feedback
from bot.slack import blocks
from bot.slack.answering.answer_blocks import place
from bot.words import Words

FIX = "feedback_fix"
"""Id of the form, and of the button that opens it."""
WITHDRAW = "feedback_withdraw"
"""Id of the note's other button."""
CORRECTION, COMMENT = "correction", "comment"


def note(words: Words, conversation: ConversationId, feedback: Feedback) -> blocks.Message:
    """What a person is told of a rating of theirs that was kept: what of it, for how long, and the way back."""
    is_down, value = feedback.rating == "down", place(conversation, feedback.ts)
    sentence = words.say("feedback_noted_down") if is_down else words.say("feedback_noted_up")
    fix = [blocks.button(words.say("feedback_fix"), FIX, value=value)] if is_down else []
    withdraw = blocks.button(words.say("feedback_withdraw"), WITHDRAW, value=value)
    shown = [blocks.section(sentence), blocks.context(kept(words, feedback)), blocks.actions([*fix, withdraw])]
    return {"text": sentence, "blocks": shown}


def form(words: Words, conversation: ConversationId, feedback: Feedback) -> blocks.Block:
    """The answer to be put right, room for a comment, and what is kept of both."""
    cut = [blocks.context(words.say("feedback_cut", count=CORRECTION_CHARACTERS))] if feedback.is_cut else []
    correction = blocks.text_input(
        CORRECTION, feedback.correction or feedback.draft, most_characters=CORRECTION_CHARACTERS
    )
    comment = blocks.text_input(COMMENT, feedback.comment, most_characters=COMMENT_CHARACTERS)
    return blocks.modal(
        FIX,
        [
            blocks.field(words.say("feedback_correction"), CORRECTION, correction),
            *cut,
            blocks.field(words.say("feedback_comment"), COMMENT, comment),
            blocks.context(kept(words, feedback)),
        ],
        title=words.say("feedback_fix"),
        submit=words.say("form_save"),
        close=words.say("form_cancel"),
        metadata=place(conversation, feedback.ts),
    )


def kept(words: Words, feedback: Feedback) -> str:
    """What is kept of feedback, for how long, who can read it, and whether it may train a model."""
    trains = words.say("feedback_trains") if feedback.consent else words.say("feedback_trains_not")
    return f"{words.say('feedback_kept')} {trains}"
