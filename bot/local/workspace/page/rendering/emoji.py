"""Slack's emoji names for the ones people use most, and the few that the page's picker offers."""

import re

CHARACTERS: dict[str, str] = {
    "+1": "👍", "thumbsup": "👍", "-1": "👎", "thumbsdown": "👎", "ok_hand": "👌", "wave": "👋", "clap": "👏",
    "raised_hands": "🙌", "pray": "🙏", "muscle": "💪", "point_up": "☝️", "point_right": "👉",
    "point_left": "👈", "point_down": "👇", "handshake": "🤝", "v": "✌️", "crossed_fingers": "🤞",
    "smile": "😄", "smiley": "😃", "grinning": "😀", "grin": "😁", "joy": "😂", "rolling_on_the_floor_laughing": "🤣",
    "slightly_smiling_face": "🙂", "upside_down_face": "🙃", "wink": "😉", "blush": "😊", "innocent": "😇",
    "heart_eyes": "😍", "star-struck": "🤩", "kissing_heart": "😘", "yum": "😋", "stuck_out_tongue": "😛",
    "thinking_face": "🤔", "face_with_raised_eyebrow": "🤨", "neutral_face": "😐", "expressionless": "😑",
    "unamused": "😒", "face_with_rolling_eyes": "🙄", "grimacing": "😬", "relieved": "😌", "pensive": "😔",
    "sleepy": "😪", "sleeping": "😴", "sunglasses": "😎", "nerd_face": "🤓", "confused": "😕", "worried": "😟",
    "slightly_frowning_face": "🙁", "open_mouth": "😮", "astonished": "😲", "flushed": "😳", "cry": "😢",
    "sob": "😭", "scream": "😱", "disappointed": "😞", "sweat": "😓", "sweat_smile": "😅", "tired_face": "😫",
    "angry": "😠", "rage": "😡", "exploding_head": "🤯", "partying_face": "🥳", "hugging_face": "🤗",
    "shushing_face": "🤫", "zipper_mouth_face": "🤐", "saluting_face": "🫡", "melting_face": "🫠",
    "robot_face": "🤖", "ghost": "👻", "skull": "💀", "clown_face": "🤡", "see_no_evil": "🙈", "eyes": "👀",
    "brain": "🧠", "speech_balloon": "💬", "thought_balloon": "💭", "zzz": "💤", "heart": "❤️",
    "orange_heart": "🧡", "yellow_heart": "💛", "green_heart": "💚", "blue_heart": "💙", "purple_heart": "💜",
    "broken_heart": "💔", "sparkling_heart": "💖", "100": "💯", "fire": "🔥", "sparkles": "✨", "star": "⭐",
    "star2": "🌟", "boom": "💥", "zap": "⚡", "tada": "🎉", "confetti_ball": "🎊", "balloon": "🎈", "gift": "🎁",
    "trophy": "🏆", "medal": "🏅", "first_place_medal": "🥇", "rocket": "🚀", "airplane": "✈️", "car": "🚗",
    "bike": "🚲", "house": "🏠", "office": "🏢", "earth_africa": "🌍", "sunny": "☀️", "cloud": "☁️",
    "rainbow": "🌈", "snowflake": "❄️", "umbrella": "☔", "seedling": "🌱", "evergreen_tree": "🌲",
    "four_leaf_clover": "🍀", "sunflower": "🌻", "rose": "🌹", "dog": "🐶", "cat": "🐱", "sheep": "🐑",
    "unicorn_face": "🦄", "bug": "🐛", "bee": "🐝", "snail": "🐌", "turtle": "🐢", "penguin": "🐧",
    "coffee": "☕", "tea": "🍵", "beer": "🍺", "beers": "🍻", "clinking_glasses": "🥂", "pizza": "🍕",
    "taco": "🌮", "cake": "🍰", "birthday": "🎂", "cookie": "🍪", "apple": "🍎", "banana": "🍌",
    "white_check_mark": "✅", "heavy_check_mark": "✔️", "ballot_box_with_check": "☑️", "x": "❌",
    "negative_squared_cross_mark": "❎", "heavy_plus_sign": "➕", "heavy_minus_sign": "➖", "question": "❓",
    "exclamation": "❗", "warning": "⚠️", "no_entry": "⛔", "no_entry_sign": "🚫", "octagonal_sign": "🛑",
    "information_source": "ℹ️", "red_circle": "🔴", "large_green_circle": "🟢", "large_yellow_circle": "🟡",
    "large_blue_circle": "🔵", "arrow_right": "➡️", "arrow_left": "⬅️", "arrow_up": "⬆️", "arrow_down": "⬇️",
    "arrows_counterclockwise": "🔄", "hourglass": "⌛", "hourglass_flowing_sand": "⏳", "stopwatch": "⏱️",
    "alarm_clock": "⏰", "calendar": "📅", "date": "📅", "pushpin": "📌", "round_pushpin": "📍",
    "paperclip": "📎", "link": "🔗", "memo": "📝", "pencil2": "✏️", "book": "📖", "books": "📚",
    "bookmark": "🔖", "page_facing_up": "📄", "clipboard": "📋", "file_folder": "📁", "wastebasket": "🗑️",
    "package": "📦", "mailbox": "📫", "email": "✉️", "envelope": "✉️", "bell": "🔔", "no_bell": "🔕",
    "mega": "📣", "loudspeaker": "📢", "lock": "🔒", "unlock": "🔓", "key": "🔑", "mag": "🔍", "bulb": "💡",
    "wrench": "🔧", "hammer": "🔨", "hammer_and_wrench": "🛠️", "gear": "⚙️", "computer": "💻",
    "desktop_computer": "🖥️", "iphone": "📱", "camera": "📷", "chart_with_upwards_trend": "📈",
    "chart_with_downwards_trend": "📉", "bar_chart": "📊", "moneybag": "💰", "test_tube": "🧪",
    "microscope": "🔬", "telescope": "🔭", "magnet": "🧲", "dart": "🎯", "jigsaw": "🧩", "art": "🎨",
    "musical_note": "🎵", "soccer": "⚽", "one": "1️⃣", "two": "2️⃣", "three": "3️⃣", "four": "4️⃣", "five": "5️⃣",
}  # fmt: skip

PICKER = (
    "+1", "-1", "heart", "tada", "eyes", "white_check_mark", "joy", "smile", "thinking_face", "raised_hands",
    "pray", "rocket", "fire", "100", "clap", "wave", "sob", "bulb", "sparkles", "x", "question", "warning",
    "hourglass_flowing_sand", "robot_face",
)  # fmt: skip
"""What the page offers to react with."""

_NAME = re.compile(r":([a-z0-9_+'-]{1,60}):")


def character(name: str) -> str:
    """The emoji itself; a name that is not known stays `:name:`. A skin tone (`+1::skin-tone-2`) is left out."""
    name = name.split("::")[0]
    return CHARACTERS.get(name, f":{name}:")


def replace(text: str) -> str:
    """Each known `:name:` in `text` by its emoji."""
    return _NAME.sub(lambda match: character(match[1]), text)
