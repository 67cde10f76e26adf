"""What of a conversation goes into a prompt: its newest exchanges that fit the token budget. Pure."""

from collections.abc import Sequence

from bot.conversation import Exchange, Message
from bot.errors import QuestionTooLong


def fit(
    system: Message,
    exchanges: Sequence[Exchange],
    question: Message,
    *,
    required_tokens: int,
    token_budget: int,
) -> list[Message]:
    """The prompt: `system`, the newest of `exchanges` (oldest first) that fit, `question`.

    `required_tokens` is the prompt of `system` and `question` alone (ModelClient.count_tokens), and
    `token_budget` what a prompt may have (ModelClient.prompt_budget). Raises QuestionTooLong where the
    first exceeds the second.
    """
    if required_tokens > token_budget:
        raise QuestionTooLong(
            f"The system prompt and the question take {required_tokens} tokens, and {max(token_budget, 0)} fit: "
            "serve the model with a larger window, or allow the answer fewer tokens."
        )
    kept: list[Exchange] = []
    left = token_budget - required_tokens
    for exchange in reversed(exchanges):
        left -= exchange.tokens
        if left < 0:
            break
        kept.append(exchange)
    earlier = [message for exchange in reversed(kept) for message in exchange.messages]
    return [system, *earlier, question]
