"""Settings: every fault at once, in sentences, no secret shown, .env.example true."""

import base64
import re
from pathlib import Path

import pytest

from bot import configured
from bot.errors import SettingsError
from bot.settings import Settings, forget_proxies

ROOT = Path(__file__).resolve().parents[2]
GOOD = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}


def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str = "", **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    env_file = tmp_path / ".env"
    env_file.write_text(text, encoding="utf-8")
    return Settings.read(env_file)


def test_nothing_needs_to_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = read(monkeypatch, tmp_path)
    assert settings.redis_url is None
    assert settings.dolly_port == 8765


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read(monkeypatch, tmp_path, "MAX_TOKENS=1\nTEMPERATURE=0.1", MAX_TOKENS="2").max_tokens == 2


def test_secrets_may_be_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = base64.b64encode(bytes(32)).decode()
    for name, text in {
        "slack_bot_token": "xoxb-1",
        "dolly_memory_key": f"{key},{key}",
        "redis_url": "redis://a",
    }.items():
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setenv("REDIS_URL", "redis://b")
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "s")
    settings = Settings.read(tmp_path / ".env", secrets=tmp_path, needs_slack=True)
    assert settings.slack_bot_token is not None
    assert settings.slack_bot_token.get_secret_value() == "xoxb-1"
    assert settings.memory_keys == (bytes(32), bytes(32))
    assert settings.redis_url == "redis://b"


def test_a_secret_that_may_not_be_read_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "retrain_key").write_text("x")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # as for another user than root
    with pytest.raises(SettingsError, match="retrain_key may not be read"):
        Settings.read(tmp_path / ".env", secrets=tmp_path)


def test_an_empty_setting_is_an_unset_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read(monkeypatch, tmp_path, "SLACK_APP_TOKEN=\nREDIS_URL=").slack_app_token is None


def test_all_faults_come_at_once_and_name_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        read(
            monkeypatch,
            tmp_path,
            "SLACK_BOT_TOKEN=xoxp-wrong-kind-of-token\nREDIS_URL=localhost:6379\nMAX_TOKENS=many\nDOLLY_PORT=99999",
        )
    faults = raised.value.faults
    assert [fault.split()[0] for fault in faults] == ["SLACK_BOT_TOKEN", "REDIS_URL", "MAX_TOKENS", "DOLLY_PORT"]
    assert "xoxp" not in str(raised.value), "a token is never shown"


def test_a_malformed_list_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="STOP_SEQUENCES must be a JSON list"):
        read(monkeypatch, tmp_path, "STOP_SEQUENCES=###")


def test_a_file_that_is_no_text_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"MAX_TOKENS=\xff\xfe1")
    with pytest.raises(SettingsError, match="UTF-8"):
        Settings.read(tmp_path / ".env")


def test_a_misspelt_setting_is_named_with_what_was_meant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"SLACK_BOT_TOKN .* did you mean SLACK_BOT_TOKEN\?"):
        read(monkeypatch, tmp_path, "SLACK_BOT_TOKN=xoxb-1\nPATH_OF_SOMETHING_ELSE=1")


def test_what_slack_needs_is_missed_together_with_all_other_faults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENGINE_URL", "ftp://x")
    monkeypatch.setenv("STOP_SEQUENCES", "###")
    with pytest.raises(SettingsError) as raised:
        Settings.read(tmp_path / ".env", needs_slack=True)
    names = {fault.split()[0] for fault in raised.value.faults}
    assert names == {"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "ENGINE_URL", "STOP_SEQUENCES"}


def test_who_owns_engines_says_which_and_needs_no_key_for_texts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.read(tmp_path / ".env", owns_engines=True)
    assert [fault.split()[0] for fault in raised.value.faults] == ["REDIS_URL", "Set"]
    monkeypatch.setenv("REDIS_URL", "redis://dolly-owner:secret@store:6379")
    monkeypatch.setenv("ENGINE_SLOTS", "http://engine-a:8080, http://engine-b:8080/")
    settings = Settings.read(tmp_path / ".env", owns_engines=True)
    assert settings.engine_slots == ("http://engine-a:8080", "http://engine-b:8080")
    monkeypatch.setenv("ENGINE_DEPLOYMENTS", "a=http://engine-a:8080,b=http://engine-b:8080")
    with pytest.raises(SettingsError, match="Set one of ENGINE_SLOTS"):
        Settings.read(tmp_path / ".env", owns_engines=True)
    monkeypatch.delenv("ENGINE_SLOTS")
    settings = Settings.read(tmp_path / ".env", owns_engines=True)
    assert settings.engine_deployments == (("a", "http://engine-a:8080"), ("b", "http://engine-b:8080"))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("ENGINE_SLOTS=http://engine-a:8080", "ENGINE_SLOTS must name two engines"),
        ("ENGINE_SLOTS=http://a:1,engine-b", "ENGINE_SLOTS must hold addresses that start with http"),
        ("ENGINE_SLOTS=http://a:1,http://a:2", "ENGINE_SLOTS must name two hosts"),
        ("ENGINE_DEPLOYMENTS=http://a:1,http://b:1", "ENGINE_DEPLOYMENTS must hold addresses"),
        ("ENGINE_DEPLOYMENTS=a=http://a:1,a=http://b:1", "ENGINE_DEPLOYMENTS must be two Deployments"),
    ],
)
def test_engines_that_are_owned_are_two(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        read(monkeypatch, tmp_path, line)


@pytest.mark.parametrize("way_in", ["SLACK_APP_TOKEN=xapp-1", "SLACK_SIGNING_SECRET=s"])
def test_slack_has_two_ways_in(tmp_path: Path, way_in: str) -> None:
    (tmp_path / ".env").write_text(f"SLACK_BOT_TOKEN=xoxb-1\n{way_in}")
    assert Settings.read(tmp_path / ".env", needs_slack=True).slack_bot_token is not None


@pytest.mark.parametrize(
    "line",
    [
        "REDIS_URL=redis://localhost:99999999/abc",
        "ENGINE_URL=http://[bad",
        "ENGINE_API_KEY=“quoted”",
        "MAX_TOKENS=4000",
        "DOLLY_ADMINS=asha",
        "ALLOWED_USERS=U0ASHA00001;U0BEN000001",
        "ALLOWED_CHANNELS=#general",
        "ALLOWED_TEAMS=U0ASHA00001",
        "ALLOWED_BOTS=B0OTHER0001",
        "LINK_HOSTS=https://wiki.example.com/x",
        "RETRAIN_KEY=c2hvcnQ=",
        "PHONE_REGIONS=Germany",
    ],
)
def test_what_would_break_later_is_said_at_once(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(line, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"must|room") as raised:
        Settings.read(tmp_path / ".env")
    assert raised.value.faults[0].startswith(line.partition("=")[0])


@pytest.mark.parametrize(
    "hosts", ["https://docs.example.com", "docs.example.com/guide", "*", "a..b", "docs.*.com", "a b"]
)
def test_a_host_whose_links_stay_is_a_name(tmp_path: Path, hosts: str) -> None:
    (tmp_path / ".env").write_text(f"LINK_HOSTS=good.example,{hosts}", encoding="utf-8")
    with pytest.raises(SettingsError) as raised:
        Settings.read(tmp_path / ".env")
    assert raised.value.faults[0].startswith("LINK_HOSTS must ")


@pytest.mark.parametrize("line", ["FILE_MAX_KB=0", "FILES_MAX_KB=many", "FILE_SECONDS=301", "FILE_SECONDS=0"])
def test_a_limit_has_its_bounds(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(line, encoding="utf-8")
    with pytest.raises(SettingsError) as raised:
        Settings.read(tmp_path / ".env")
    assert raised.value.faults[0].startswith(f"{line.partition('=')[0]} input should be ")


def test_a_path_may_begin_at_home(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MODEL_PATH=~/x.gguf\nDOLLY_DATA=~/dolly")
    settings = Settings.read(tmp_path / ".env")
    assert settings.model_path == Path.home() / "x.gguf"
    assert settings.dolly_data == Path.home() / "dolly"


def test_a_manifest_is_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"ENGINE_MANIFEST={tmp_path / 'manifest.json'}")
    with pytest.raises(SettingsError) as raised:
        Settings.read(tmp_path / ".env")
    assert raised.value.faults == [f"ENGINE_MANIFEST names {tmp_path / 'manifest.json'}, which is no file."]
    (tmp_path / "manifest.json").write_text("{}")
    assert Settings.read(tmp_path / ".env").engine_manifest == tmp_path / "manifest.json"


KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_KEY = "HxwdHh8YGRobFBUWFxAREhMMDQ4PCAkKCwQFBgcAAQI="


def test_a_store_of_ones_own_is_encrypted_or_plain_by_ones_own_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = "REDIS_URL=redis://localhost"
    with pytest.raises(SettingsError, match="DOLLY_MEMORY_KEY is missing"):
        read(monkeypatch, tmp_path, url)
    assert read(monkeypatch, tmp_path, f"{url}\nDOLLY_MEMORY_PLAINTEXT=1").memory_keys == ()
    settings = read(monkeypatch, tmp_path, f"{url}\nDOLLY_MEMORY_KEY={KEY}, {OTHER_KEY}")
    assert [len(key) for key in settings.memory_keys] == [32, 32]
    assert settings.memory_keys[0] == bytes(range(32)), "the newest first"
    assert KEY not in repr(settings)
    with pytest.raises(SettingsError, match="take one of them out"):
        read(monkeypatch, tmp_path, f"{url}\nDOLLY_MEMORY_KEY={KEY}\nDOLLY_MEMORY_PLAINTEXT=1")


@pytest.mark.parametrize("key", ["short", KEY[:-4], KEY + "," + KEY[:20], "ß" * 44, "=" * 44])
def test_a_key_that_is_none_is_said_and_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str) -> None:
    with pytest.raises(SettingsError, match="DOLLY_MEMORY_KEY must be 32 bytes in base64") as raised:
        read(monkeypatch, tmp_path, f"DOLLY_MEMORY_KEY={key}")
    assert key not in str(raised.value)


def test_the_trainer_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = f"DOLLY_DATA={tmp_path / 'data'}"
    own = configured.store_access(read(monkeypatch, tmp_path, data), "unix:///x").retrain_key
    assert own is not None
    assert (tmp_path / "data" / "retrain.key").read_bytes() == base64.b64encode(own) + b"\n"
    assert configured.store_access(read(monkeypatch, tmp_path, data), "unix:///x").retrain_key == own
    elsewhere = f"{data}\nREDIS_URL=redis://localhost\nDOLLY_MEMORY_KEY={KEY}"
    assert configured.store_access(read(monkeypatch, tmp_path, elsewhere), "redis://localhost").retrain_key is None
    given = read(monkeypatch, tmp_path, f"{elsewhere}\nRETRAIN_KEY={OTHER_KEY}")
    assert configured.store_access(given, "redis://localhost").retrain_key == base64.b64decode(OTHER_KEY)
    assert OTHER_KEY not in repr(given)
    with pytest.raises(SettingsError, match="RETRAIN_KEY is one of the keys in DOLLY_MEMORY_KEY"):
        read(monkeypatch, tmp_path, f"{elsewhere},{OTHER_KEY}\nRETRAIN_KEY={OTHER_KEY}")


def test_countries_with_phone_numbers_are_a_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read(monkeypatch, tmp_path, "PHONE_REGIONS=in, JP,").phone_regions == ("IN", "JP")
    assert read(monkeypatch, tmp_path, "PHONE_REGIONS=none").phone_regions == ()


def test_secrets_do_not_print(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "xoxb-1" not in repr(read(monkeypatch, tmp_path, **GOOD))


def test_proxies_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    forget_proxies()
    assert not [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]


def test_the_example_shows_every_setting_and_its_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", example, re.MULTILINE))
    assert set(shown) == {name.upper() for name in Settings.model_fields}
    filled = "\n".join(f"{name}={value}" for name, value in shown.items() if not value.endswith("-"))
    assert read(monkeypatch, tmp_path, filled) == read(monkeypatch, tmp_path), "each value shown is the default"


def test_who_may_ask_is_read_from_lists_of_ids(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DOLLY_ADMINS=U0ASHA00001, W0BEN000001,\nALLOWED_CHANNELS=C0GENERAL01,G0SECRET001")
    settings = Settings.read(tmp_path / ".env")
    assert settings.dolly_admins == {"U0ASHA00001", "W0BEN000001"}
    assert settings.allowed_channels == {"C0GENERAL01", "G0SECRET001"}
    assert settings.allowed_users == frozenset()
