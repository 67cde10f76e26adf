"""A modal and the Home tab as HTML."""

from html import escape

from bot.local.workspace.page.rendering import blocks, elements, messages
from bot.local.workspace.page.rendering.names import Names
from bot.local.workspace.records import Json


def modal(view: Json, names: Names, *, is_pushed: bool) -> str:
    """The inside of the dialog. `is_pushed` says that another view lies under this one: closing goes back."""
    title = escape(elements.plain(view.get("title")))
    close = escape(elements.plain(view.get("close")) or ("Back" if is_pushed else "Cancel"))
    submit = elements.plain(view.get("submit"))
    send = f'<button type="submit" class="button primary">{escape(submit)}</button>' if submit else ""
    return (
        f'<form class="modal" data-view="{escape(str(view["id"]))}" novalidate aria-labelledby="modal-title">'
        f'<header><img class="avatar" src="/static/dolly.svg" alt="" width="28" height="28">'
        f'<h2 id="modal-title">{title}</h2>'
        '<button type="button" class="icon-button" data-close aria-label="Close">'
        f"{messages.icon('close')}</button></header>"
        f'<div class="modal-blocks">{blocks.to_html(view.get("blocks"), names)}</div>'
        '<p class="fault modal-fault" role="alert"></p>'
        f'<footer><button type="button" class="button" data-close>{close}</button>{send}</footer></form>'
    )


def home(view: Json, names: Names) -> str:
    """The Home tab."""
    return f'<div class="home" data-view="{escape(str(view["id"]))}">{blocks.to_html(view.get("blocks"), names)}</div>'
