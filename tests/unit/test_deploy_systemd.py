"""The units: held to the settings and to how the services stop."""

import re

import pytest

from proxy.settings import ProxySettings
from tests.unit.test_documents import CHECKOUT, settings

UNITS = sorted((CHECKOUT / "deploy" / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_names_settings_that_there_are(unit):
    assert set(re.findall(r"^Environment=([A-Z_]+)", unit.read_text(), re.MULTILINE)) <= set(
        settings()
    )


def test_the_sidecar_may_finish_its_stop():
    unit = (CHECKOUT / "deploy" / "systemd" / "podwarden-audit-proxy.service").read_text()
    [grace] = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)

    assert int(grace) > 3 * ProxySettings.model_fields["stop_seconds"].default
