"""users.info, users.list."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bot.local.workspace.records import Json, User
from bot.local.workspace.web_api.call import Call, Handler, page


def shape(call: Call, user: User, *, locale: bool = False) -> Json:
    """The person as Slack's answers describe them."""
    first_name, _, last_name = user.real_name.partition(" ")
    profile: Json = {
        "title": "",
        "phone": "",
        "skype": "",
        "real_name": user.real_name,
        "real_name_normalized": user.real_name,
        "display_name": user.name,
        "display_name_normalized": user.name,
        "first_name": first_name,
        "last_name": last_name,
        "status_text": "",
        "status_text_canonical": "",
        "status_emoji": "",
        "status_emoji_display_info": [],
        "status_expiration": 0,
        "avatar_hash": "",
        "team": user.team_id,
    }
    if user.is_bot:
        bot_id, app_id = call.identity.bot_id, call.identity.app_id
        profile |= {
            "api_app_id": f"A{user.bot_id[1:]}" if user.bot_id else app_id,
            "bot_id": user.bot_id or bot_id,
            "always_active": True,
        }
    zone = UTC if user.tz == "Etc/UTC" else ZoneInfo(user.tz)
    now = datetime.fromtimestamp(call.clock.now(), zone)
    offset = now.utcoffset()
    shown: Json = {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "deleted": False,
        "color": user.color,
        "real_name": user.real_name,
        "tz": user.tz,
        "tz_label": now.tzname(),
        "tz_offset": int(offset.total_seconds()) if offset else 0,
        "profile": profile,
        "is_admin": user.is_admin,
        "is_owner": user.is_owner,
        "is_primary_owner": user.is_owner,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "updated": 0,
        "is_email_confirmed": True,
        "who_can_share_contact_card": "EVERYONE",
    }
    if user.is_external:
        # Slack's word for one of another company whom the app meets in no channel.
        seen = [channel for channel in call.timeline.channels() if call.sees(channel)]
        shown["is_stranger"] = not any(user.id in channel.members for channel in seen)
    return shown | ({"locale": user.locale} if locale else {})


def info(call: Call) -> Json:
    return {"user": shape(call, call.user(), locale=call.arguments.flag("include_locale"))}


def list_all(call: Call) -> Json:
    users, more = page(call.timeline.users(), call.arguments)
    locale = call.arguments.flag("include_locale")
    members = [shape(call, user, locale=locale) for user in users]
    return {"members": members, "cache_ts": int(call.clock.now()), **more}


METHODS: dict[str, Handler] = {"users.info": info, "users.list": list_all}
