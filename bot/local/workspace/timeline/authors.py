"""What a message carries of who said it: the app, another bot, a person, one of another company. Pure."""

import uuid

from bot.local.workspace.records import AppIdentity, Json, User


def app_marks(app: AppIdentity) -> Json:
    """Of what the app says."""
    return _bot_marks(app.bot_id, app.app_id, "Dolly", app.team_id)


def marks_of(user: User | None, app: AppIdentity) -> Json:
    """Of what anybody else says, or nobody who is known."""
    if user is not None and user.bot_id:
        return _bot_marks(user.bot_id, f"A{user.bot_id[1:]}", user.real_name, app.team_id)
    typed = {"client_msg_id": str(uuid.uuid4())}
    return typed | _external_marks(user) if user is not None and user.is_external else typed


def _bot_marks(bot_id: str, app_id: str, name: str, team_id: str) -> Json:
    profile = {"id": bot_id, "deleted": False, "name": name, "updated": 0, "app_id": app_id, "team_id": team_id}
    return {"bot_id": bot_id, "app_id": app_id, "bot_profile": profile}


def _external_marks(user: User) -> Json:
    """Of a person of another company, whom the workspace need not know: their profile comes along."""
    profile = {
        "name": user.name,
        "real_name": user.real_name,
        "display_name": user.name,
        "first_name": user.real_name.partition(" ")[0],
        "team": user.team_id,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "avatar_hash": "",
        "image_72": "",
    }
    team_id = user.team_id
    return {"team": team_id, "user_team": team_id, "source_team": team_id, "user_profile": profile}
