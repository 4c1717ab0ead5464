#!/bin/sh
# boto3 1.44.8 and aiohttp 3.14.5 with moto 5.2.5 as the store, CPython 3.11: when the response to a
# PUT with `If-None-Match: *` is lost, both send it again by themselves, aiohttp without an option
# against it, and the store refuses the second one with 412 because of the first. It bites locks and
# leases in S3: their holder is told that somebody else has them, and all wait until they expire.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    moto==5.2.5 flask==3.1.3 flask-cors==6.0.5 py-partiql-parser==0.6.3 PyYAML==6.0.4 \
    boto3==1.44.8 botocore==1.44.8 aiohttp==3.14.5
cat >"$folder/put.py" <<'PYTHON'
import asyncio
import http.client
import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import boto3
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

CONDITION = {"If-None-Match": "*"}
# moto verifies no signatures.
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request"}
statuses = []
loses = threading.Event()


def stored(path, body, fields):
    store = http.client.HTTPConnection(*moto.get_host_and_port())
    store.request("PUT", path, body, fields)
    response = store.getresponse()
    try:
        return response.status, response.read()
    finally:
        store.close()


class Lossy(BaseHTTPRequestHandler):
    """In front of the store: the connection ends instead of the first conditional response."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fields = {name: value for name, value in self.headers.items() if name != "Expect"}
        status, told = stored(self.path, body, fields)
        if "If-None-Match" in self.headers:
            statuses.append(status)
            if loses.is_set():
                loses.clear()
                self.close_connection = True
                return
        self.send_response(status)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_):
        pass


def by_boto3(key):
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="id",
        aws_secret_access_key="secret",
    )
    try:
        client.put_object(Bucket="bucket", Key=key, Body=b"mine", IfNoneMatch="*")
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "put"


async def by_aiohttp(key):
    async with (
        aiohttp.ClientSession(headers=SIGNED) as session,
        session.put(f"{url}/bucket/{key}", data=b"mine", headers=CONDITION) as response,
    ):
        return response.status


logging.getLogger("werkzeug").setLevel(logging.ERROR)
moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
moto.start()
stored("/bucket", None, SIGNED)
server = ThreadingHTTPServer(("127.0.0.1", 0), Lossy)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
seen = {}
for name, put in ("boto3", by_boto3), ("aiohttp", lambda key: asyncio.run(by_aiohttp(key))):
    statuses.clear()
    loses.set()
    told = put(name)
    seen[name] = told, list(statuses)
    print(f"{name}: the store responded {statuses}, the caller is told {told}")
sys.exit(seen != {"boto3": ("PreconditionFailed", [200, 412]), "aiohttp": (412, [200, 412])})
PYTHON
"$folder/venv/bin/python" "$folder/put.py"
