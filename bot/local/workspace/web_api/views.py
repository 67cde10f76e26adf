"""views.*: modals and home tabs."""

from bot.local.workspace.records import Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.block_rules import check_view
from bot.local.workspace.web_api.call import Call, Handler


def open_modal(call: Call) -> Json:
    view = _view(call, "modal")
    user_id = call.triggers.redeem(call.arguments.needed("trigger_id"))
    return {"view": call.timeline.open_view(user_id, view)}


def push(call: Call) -> Json:
    view = _view(call, "modal")
    user_id = call.triggers.redeem(call.arguments.needed("trigger_id"))
    return {"view": call.timeline.push_view(user_id, view)}


def update(call: Call) -> Json:
    view = _view(call, "modal", "home")
    external_id = call.arguments.text("external_id")
    known = call.timeline.view_by_external_id(external_id) if external_id else None
    if external_id and known is None:
        raise Refused("not_found")
    view_id = known["id"] if known else call.arguments.needed("view_id")
    hash = call.arguments.text("hash") or None
    return {"view": call.timeline.update_view(view_id, view, hash=hash)}


def publish(call: Call) -> Json:
    user = call.user("user_id")
    view = _view(call, "home")
    hash = call.arguments.text("hash") or None
    return {"view": call.timeline.publish_home(user.id, view, hash=hash)}


def _view(call: Call, *types: str) -> Json:
    view = call.arguments.record("view", fault="invalid_arguments")
    if view is None:
        raise Refused("invalid_arguments", "[ERROR] missing required field: view")
    check_view(view, *types)
    return view


METHODS: dict[str, Handler] = {
    "views.open": open_modal,
    "views.push": push,
    "views.update": update,
    "views.publish": publish,
}
