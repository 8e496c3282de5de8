"""The README's REST example works when it is pasted."""

import re
import subprocess

import pytest

from skincare.launch.up import ROOT
from tests.faults.platform import Platform

pytestmark = pytest.mark.faults


def test_the_rest_example_gives_seven_probabilities_that_sum_to_1(platform: Platform) -> None:
    section = (ROOT / "README.md").read_text().split("## One case over REST")[1]
    commands = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[0]
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=ROOT,
        env=platform.environment | {"PORT": str(platform.port)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith("posted: 201 in ")
    probabilities = [float(number) for number in re.findall(r"'[a-z]+': ([0-9.e-]+)", ran.stdout)]
    assert len(probabilities) == 7
    assert sum(probabilities) == pytest.approx(1)
    assert "not a diagnosis" in ran.stdout
