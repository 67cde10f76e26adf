"""What the app learns about itself and its team: auth.test, team.info, bots.info, oauth, connections."""

from bot.local.workspace.records import ADMIN_ID, Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.web_api.call import Call, Handler

SCOPES = (
    "app_mentions:read,assistant:write,channels:history,channels:join,channels:read,chat:write,commands,"
    "files:read,files:write,groups:history,groups:read,im:history,im:read,im:write,mpim:history,mpim:read,"
    "mpim:write,reactions:read,reactions:write,team:read,users:read"
)


def api_test(call: Call) -> Json:
    arguments = call.arguments.all()
    answer: Json = {"args": arguments} if arguments else {}
    error = call.arguments.text("error")
    return answer | ({"ok": False, "error": error} if error else {})


def auth_test(call: Call) -> Json:
    app = call.identity
    return {
        "url": f"{call.origin}/",
        "team": app.team_name,
        "user": "dolly",
        "team_id": app.team_id,
        "user_id": app.bot_user_id,
        "bot_id": app.bot_id,
        "is_enterprise_install": False,
    }


def open_connection(call: Call) -> Json:
    return {"url": call.open_socket()}


def team_info(call: Call) -> Json:
    app = call.identity
    asked = call.arguments.text("team") or app.team_id
    if asked != app.team_id:
        raise Refused("team_not_found")
    team: Json = {
        "id": app.team_id,
        "name": app.team_name,
        "url": f"{call.origin}/",
        "domain": app.team_domain,
        "email_domain": "",
        "icon": {"image_default": True},
        "is_verified": False,
    }
    return {"team": team}


def bots_info(call: Call) -> Json:
    app = call.identity
    bot_id = call.arguments.text("bot") or app.bot_id
    if bot_id == app.bot_id:
        return {"bot": _bot(bot_id, "Dolly", app.app_id, app.bot_user_id)}
    for user in call.timeline.users():
        if user.bot_id == bot_id:
            return {"bot": _bot(bot_id, user.real_name, f"A{bot_id[1:]}", user.id)}
    raise Refused("bot_not_found")


def _bot(bot_id: str, name: str, app_id: str, user_id: str) -> Json:
    about = {"id": bot_id, "deleted": False, "name": name, "updated": 0, "app_id": app_id, "user_id": user_id}
    return {**about, "icons": {}}


def oauth_access(call: Call) -> Json:
    """oauth.v2.access: a code from the consent page for the bot's token. Tokens do not rotate here."""
    app = call.identity
    if call.arguments.text("client_id") != app.client_id:
        raise Refused("invalid_client_id")
    if call.arguments.text("client_secret") != app.client_secret:
        raise Refused("bad_client_secret")
    if call.arguments.text("grant_type") == "refresh_token":
        raise Refused("invalid_refresh_token")
    code = call.arguments.text("code")
    if code not in call.install_codes:
        raise Refused("invalid_code")
    call.install_codes.remove(code)
    return {
        "app_id": app.app_id,
        "authed_user": {"id": ADMIN_ID},
        "scope": SCOPES,
        "token_type": "bot",
        "access_token": app.bot_token,
        "bot_user_id": app.bot_user_id,
        "team": {"id": app.team_id, "name": app.team_name},
        "enterprise": None,
        "is_enterprise_install": False,
    }


METHODS: dict[str, Handler] = {
    "api.test": api_test,
    "auth.test": auth_test,
    "apps.connections.open": open_connection,
    "team.info": team_info,
    "bots.info": bots_info,
    "oauth.v2.access": oauth_access,
}
