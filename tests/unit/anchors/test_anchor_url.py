"""The setting PROXY_SEAL_ANCHORS: what it names, and what it says of a mistake."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from audit_log.seal.keys import COSIGNATURE, NOTE, SignerKey
from proxy.seal.anchors.anchor_url import read_urls
from proxy.seal.anchors.opening import check_anchors
from proxy.settings import ProxySettings

WITNESS = str(SignerKey("witness.example/w1", COSIGNATURE, bytes(32)).verifier)
LOG = str(SignerKey("witness.example/w1", NOTE, bytes(32)).verifier)


def test_several_anchors_are_separated_by_spaces():
    anchors = read_urls(
        "file:///mnt/other%20volume\n https://me:secret@archive.example:8443/take?key=s#every=5"
        f" witness+https://audit.example/api#{WITNESS}&every=2.5&ca=/etc/ca%23.pem"
    )

    assert [(anchor.name, anchor.every_seconds) for anchor in anchors] == [
        ("file:///mnt/other volume", 10.0),
        ("https://archive.example:8443", 5.0),
        ("witness+https://audit.example/api", 2.5),
    ]
    assert str(anchors[1].place) == "https://me:secret@archive.example:8443/take?key=s"
    assert anchors[2].options["vkey"] == WITNESS
    assert anchors[2].authorities == Path("/etc/ca#.pem")


def test_an_anchor_that_costs_or_is_shared_is_sent_less():
    found = read_urls("s3://bucket/prefix/ tsa+http://stamps.example/tsr")
    assert [(anchor.name, anchor.every_seconds) for anchor in found] == [
        ("s3://bucket/prefix", 60.0),
        ("tsa+http://stamps.example", 600.0),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http://archive.example", "anchor 1: must begin with one of file://, https://"),
        ("file:///a /mnt/b", "anchor 2: must begin with one of"),
        ("file://host/path", "a folder by its full path"),
        ("https://", "names no host"),
        ("https://host:port/", "is no URL"),
        ("s3:///prefix#region=x", "names no bucket"),
        ("https://host/#evry=5", "no option 'evry' behind the #: there are ca, certificate"),
        ("https://host/#every=", "'every' must be given once, with a value"),
        ("https://host/#every=5&every=6", "'every' must be given once"),
        ("https://host/#every=0", "a number of seconds above 0"),
        ("https://host/#every=nan", "a number of seconds above 0"),
        ("https://host/#key=/k.pem", "'certificate' and 'key' belong together"),
        ("file:///a file:///a#every=5", "two anchors at one place: file:///a"),
        ("witness+https://host", "needs the witness's key behind a #"),
        ("witness+https://host#every=5", "is not of the form name+id+base64"),
        (f"witness+https://host#{LOG}", "is a log's and not a witness's"),
        ("s3://bucket", "names no region"),
        ("s3://bucket#region=x&endpoint=host:9000", "'endpoint' must be http://"),
        ("s3://bucket#region=x&retain_days=0", "'retain_days' must be a number of days"),
        ("s3://bucket#region=x&lock=governance", "'lock' needs 'retain_days'"),
        ("s3://bucket#region=x&retain_days=9&lock=x", "must be compliance or governance"),
        ("s3://bucket#region=x", "needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_mistake_is_told_in_one_line(text, says, monkeypatch):
    for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="anchor") as raised:
        check_anchors(text)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_setting_is_checked_and_never_shown():
    with pytest.raises(ValidationError) as raised:
        ProxySettings(upstream_url="http://api", seal_anchors="https://me:hush@host/#oops=1")
    [error] = raised.value.errors()
    assert "no option 'oops'" in error["msg"]
    assert "hush" not in error["msg"]
    settings = ProxySettings(upstream_url="http://api", seal_anchors="https://me:hush@host/")
    assert "hush" not in repr(settings)
