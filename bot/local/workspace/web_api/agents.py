"""assistant.threads.* and agents.sessions.*: what stands around a thread with the app."""

from bot.local.workspace.records import Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.web_api.call import Call, Handler
from bot.local.workspace.web_api.streams import read_session_status

LOADING_MESSAGES_LIMIT = 10
PROMPTS_LIMIT = 4
SESSION_TITLE_LIMIT = 200


def set_status(call: Call) -> Json:
    channel_id, thread_ts = _thread(call)
    status = call.arguments.text("status")
    loading_messages = call.arguments.words("loading_messages")
    if status is None:
        raise Refused("invalid_arguments", "[ERROR] missing required field: status")
    if len(loading_messages) > LOADING_MESSAGES_LIMIT:
        raise Refused("invalid_arguments", f"[ERROR] no more than {LOADING_MESSAGES_LIMIT} loading_messages")
    call.timeline.set_status(channel_id, thread_ts, status, loading_messages)
    return {}


def set_title(call: Call) -> Json:
    channel_id, thread_ts = _thread(call)
    call.timeline.set_title(channel_id, thread_ts, call.arguments.needed("title"))
    return {}


def set_suggested_prompts(call: Call) -> Json:
    channel_id = call.joined_channel("channel_id").id
    thread_ts = _thread(call)[1] if call.arguments.text("thread_ts") else None
    prompts = call.arguments.items("prompts", fault="invalid_arguments") or []
    if len(prompts) > PROMPTS_LIMIT:
        raise Refused("invalid_arguments", f"[ERROR] no more than {PROMPTS_LIMIT} prompts")
    if not all(isinstance(prompt.get(key), str) for prompt in prompts for key in ("title", "message")):
        raise Refused("invalid_arguments", "[ERROR] each prompt needs a title and a message")
    call.timeline.set_prompts(channel_id, thread_ts, prompts, call.arguments.text("title"))
    return {}


def set_session_status(call: Call) -> Json:
    channel_id, thread_ts = _session_thread(call)
    status = read_session_status(call, "status")
    if not status:
        raise Refused("invalid_arguments", "[ERROR] missing required field: status")
    title = _session_title(call)
    if title:
        call.timeline.set_title(channel_id, thread_ts, title)
    call.timeline.set_session(channel_id, thread_ts, status)
    return {}


def rename_session(call: Call) -> Json:
    channel_id, thread_ts = _session_thread(call)
    call.arguments.needed("title")
    call.timeline.set_title(channel_id, thread_ts, _session_title(call) or "")
    return {}


def _session_title(call: Call) -> str | None:
    title = call.arguments.text("title")
    if title and len(title) > SESSION_TITLE_LIMIT:
        raise Refused("invalid_arguments", f"[ERROR] title must be less than {SESSION_TITLE_LIMIT + 1} characters")
    return title


def _thread(call: Call) -> tuple[str, str]:
    """(channel id, ts of the root) of the thread that the arguments name."""
    channel = call.joined_channel("channel_id")
    thread_ts = call.arguments.needed("thread_ts")
    if call.timeline.message(channel.id, thread_ts) is None:
        raise Refused("invalid_thread_ts")
    return channel.id, thread_ts


def _session_thread(call: Call) -> tuple[str, str]:
    """As `_thread`; a session need not be in a thread."""
    if call.arguments.text("thread_ts"):
        return _thread(call)
    return call.joined_channel("channel_id").id, ""


METHODS: dict[str, Handler] = {
    "assistant.threads.setStatus": set_status,
    "assistant.threads.setTitle": set_title,
    "assistant.threads.setSuggestedPrompts": set_suggested_prompts,
    "agents.sessions.setStatus": set_session_status,
    "agents.sessions.rename": rename_session,
}
