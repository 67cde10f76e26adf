"""What an app answers to a submitted modal: nothing (it closes), or a response_action."""

from bot.local.workspace.records import Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.block_rules import check_view
from bot.local.workspace.timeline.timeline import Timeline


def apply_answer(timeline: Timeline, user_id: str, view_id: str, answer: Json) -> dict[str, str]:
    """Do what `answer` says with the modal. Returns the faults that it finds, by block_id.

    Raises Refused, and does nothing, when it is not an answer that Slack takes.
    """
    match answer:
        case {"response_action": "errors", "errors": dict() as errors} if errors:
            return {str(block_id): str(fault) for block_id, fault in errors.items()}
        case {"response_action": "update", "view": dict() as view}:
            check_view(view, "modal")
            timeline.update_view(view_id, view)
        case {"response_action": "push", "view": dict() as view}:
            check_view(view, "modal")
            timeline.push_view(user_id, view)
        case {"response_action": "clear"}:
            timeline.close_view(view_id, all=True)
        case {"response_action": action} if action:
            raise Refused("invalid_response_action")
        case _:
            timeline.close_view(view_id)
    return {}
