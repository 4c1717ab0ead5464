"""What paths tell of objects: which segments are ids, and which calls are alike."""

import pytest

from audit_log.objects import is_id, object_of, template_of

IDS = [
    "12",
    "7f3c",
    "prod-eu-1",
    "550e8400-e29b-41d4-a716-446655440000",
    "01J9ZQ8V7MX4",
    "10.0.0.1",
    "deadbeefcafe",
    "web-6c9f7d5b8-x2x4k",
    "example.com",
    "anna@example.com",
    "sha256:abc123",
    "s7",
    "v2.1.0",
    "QmYwAPJzvTbBHvXUdWQrKtNsLpEjGh",
]
WORDS = [
    "",
    "clusters",
    "v1",
    "v1beta1",
    "mcp-tokens",
    "list_clusters",
    "oauth2",
    "k8s",
    "s3",
    "ipv6",
    "openapi.json",
    ".well-known",
    "workloads:search",
    "Deploy",
    "kubeconfig.yaml",
]


@pytest.mark.parametrize("segment", IDS)
def test_an_id_is_told_from_a_word(segment):
    assert is_id(segment)


@pytest.mark.parametrize("segment", WORDS)
def test_a_word_is_told_from_an_id(segment):
    assert not is_id(segment)


PATHS = [
    ("/api/v1/clusters", "/api/v1/clusters", None),
    ("/api/v1/clusters/12", "/api/v1/clusters/{id}", "clusters/12"),
    ("/api/v1/clusters/12/nodes/7/logs", "/api/v1/clusters/{id}/nodes/{id}/logs", "clusters/12"),
    ("/api/v1/clusters/%31%32", "/api/v1/clusters/{id}", "clusters/12"),
    ("/api/v1/clusters%2F12", "/api/v1/clusters/{id}", "clusters/12"),
    (
        "/api/v1/settings/mcp-tokens/9/audit",
        "/api/v1/settings/mcp-tokens/{id}/audit",
        "settings/mcp-tokens/9",
    ),
    ("/api/v2/hosts/3", "/api/v2/hosts/{id}", "/api/v2/hosts/3"),
    ("/mcp/tool/list_clusters", "/mcp/tool/list_clusters", None),
    ("/", "/", None),
]


@pytest.mark.parametrize(("path", "template", "name"), PATHS)
def test_a_path_has_a_template_and_perhaps_an_object(path, template, name):
    assert (template_of(path), object_of(path)) == (template, name)
