"""The learning loop, gone through on the page with everything real: `make test-trainer-slow`, minutes."""

from pathlib import Path

import pytest

from tests.browser.chromium import CHROMIUM
from tests.demo.loop import go_through


@pytest.mark.slow_trainer
@pytest.mark.timeout(1800)
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")
async def test_what_is_corrected_is_answered_so_until_one_goes_back(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    went = await go_through(tmp_path / "data", pictures)
    assert went.corrected == 3
    assert went.told_in_other_words >= 4
    assert went.contaminated <= 1
    assert went.replay_bits_ratio <= 1.02
    assert went.rolled_back == 3
    assert {picture.stem for picture in pictures.iterdir()} >= {"asked", "correct", "review", "progress", "promoted"}
