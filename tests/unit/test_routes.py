import pytest

from proxy.relay.routes import Routes
from proxy.relay.upstream_pool import Upstream, UpstreamLimits

LIMITS = UpstreamLimits(connect_timeout_seconds=1, response_timeout_seconds=1, idle_seconds=1)


@pytest.fixture
async def api():
    return Upstream("http://127.0.0.1:1", LIMITS, None)


@pytest.fixture
async def audit_api():
    return Upstream("http://127.0.0.1:2", LIMITS, None)


@pytest.mark.parametrize(
    "target",
    [
        b"/api/v1/settings/mcp-audit",
        b"/api/v1/settings/mcp-audit?limit=5",
        b"/api/v1/settings/mcp-audit/gaps",
        b"/api/v1/settings/mcp-tokens/0197/audit?limit=5",
        b"/settings/mcp/activity",
        b"/settings/mcp/activity/page.css",
    ],
)
def test_the_audit_paths_are_answered_by_the_audit_api_if_there_is_one(api, audit_api, target):
    assert Routes(api, audit_api).upstream_of(target) is audit_api
    assert Routes(api, None).upstream_of(target) is api


@pytest.mark.parametrize(
    "target",
    [
        b"/api/v1/settings/mcp-tokens",
        b"/api/v1/settings/mcp-tokens/0197",
        b"/api/v1/settings/mcp-auditing",
        b"/settings/mcp/activityx",
        b"/x?/api/v1/settings/mcp-audit",
        b"/",
    ],
)
def test_everything_else_is_answered_by_the_api(api, audit_api, target):
    assert Routes(api, audit_api).upstream_of(target) is api
