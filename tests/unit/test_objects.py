import pytest

from audit_log.objects import object_of, template_of

UUID = "0198d5b0-6f00-7c3e-8a52-000000000000"


@pytest.mark.parametrize(
    ("path", "template", "named"),
    [
        ("/api/v1/clusters/12", "/api/v1/clusters/{id}", "clusters/12"),
        ("/api/v1/clusters/12/nodes", "/api/v1/clusters/{id}/nodes", "clusters/12"),
        (
            f"/api/v1/clusters/12/nodes/{UUID}/drain",
            "/api/v1/clusters/{id}/nodes/{id}/drain",
            f"clusters/12/nodes/{UUID}",
        ),
        ("/api/v1/clusters", "/api/v1/clusters", None),
        ("/api/v1/mcp-tokens/", "/api/v1/mcp-tokens/", None),
        ("/api/v1beta1/pods/web-0", "/api/v1beta1/pods/{id}", "pods/web-0"),
        ("/mcp/tool/list_clusters", "/mcp/tool/list_clusters", None),
        ("/hosts/a%2Fb/logs", "/hosts/{id}/logs", "hosts/a%2Fb"),
        (f"/api/v1/jobs/{'abcdef' * 6}", "/api/v1/jobs/{id}", f"jobs/{'abcdef' * 6}"),
        ("/", "/", None),
        ("", "", None),
    ],
)
def test_ids_are_told_from_words(path, template, named):
    assert template_of(path) == template
    assert object_of(path) == named
