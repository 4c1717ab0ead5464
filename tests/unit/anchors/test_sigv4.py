"""AWS Signature Version 4, against the example that Amazon publishes for S3."""

from datetime import UTC, datetime

from yarl import URL

from proxy.seal.anchors.sigv4 import Credentials, S3Request, object_url, signed

CREDENTIALS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
AT = datetime(2013, 5, 24, tzinfo=UTC)


def test_a_put_is_signed_as_in_amazons_example():
    # "Example: PUT Object" of "Signature Calculations for the Authorization Header".
    url = URL("https://examplebucket.s3.amazonaws.com/test%24file.text", encoded=True)
    fields = {
        "Date": "Fri, 24 May 2013 00:00:00 GMT",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
    }
    request = S3Request("PUT", url, b"Welcome to Amazon S3.", fields)

    assert signed(request, CREDENTIALS, "us-east-1", AT)["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


def test_a_temporary_key_sends_its_token_signed():
    temporary = Credentials("id", "secret", "session")
    request = S3Request("GET", URL("http://127.0.0.1:9000/bucket/key"), b"", {})
    fields = signed(request, temporary, "eu", AT)
    assert fields["Host"] == "127.0.0.1:9000"
    assert fields["x-amz-security-token"] == "session"
    assert "x-amz-security-token" in fields["Authorization"]
    assert "secret" not in repr(temporary)
    assert "session" not in repr(temporary)


def test_a_key_is_encoded_as_it_is_signed():
    url = object_url(URL("http://host:9000/"), "bucket", "a b/podwarden-audit/h%C3%B6st/0001")
    assert url.raw_path == "/bucket/a%20b/podwarden-audit/h%25C3%25B6st/0001"
