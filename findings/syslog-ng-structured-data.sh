#!/bin/sh
# syslog-ng 3.38.1 (Debian 12) as a relay of RFC 5424: it moves what stands before the last dot of
# a parameter's name into the id of its element, and of parameters of one name it keeps the last.
# It bites where names have dots (`http.method`) or repeat (`ip` in `origin`, as RFC 5424 allows):
# the receiver behind the relay finds other elements than those that were sent, and fewer values.
set -eu
folder=$(mktemp -d)
relay=
trap '[ -z "$relay" ] || { kill "$relay"; wait "$relay" || :; }; rm -rf "$folder"' EXIT
cd "$folder"
# Unpacked, not installed: it would remove rsyslog.
apt-get download -q -o APT::Sandbox::User=root syslog-ng-core=3.38.1-5+deb12u1 libivykis0 libnet1 \
    libpcre3 libwrap0 libglib2.0-0 libjson-c5 >/dev/null
for package in *.deb; do dpkg -x "$package" .; done
cat >relay.py <<'PYTHON'
import socket
import sys
from pathlib import Path

SENT = [
    '[call@32473 http.request.method="GET" http.path="/servers" token="a"]',
    '[origin ip="192.0.2.1" ip="192.0.2.129" software="api"]',
    '[call@32473 method="GET"]',
]
RELAYED = [
    '[call@32473.http.request method="GET"][call@32473.http path="/servers"][call@32473 token="a"]',
    '[origin ip="192.0.2.129" software="api"]',
    '[call@32473 method="GET"]',
]
CONFIGURATION = """@version: 3.38
source from_sender { syslog(ip("127.0.0.1") port(%d) transport("tcp")); };
destination to_receiver { syslog("127.0.0.1" port(%d) transport("tcp")); };
log { source(from_sender); destination(to_receiver); };
"""


def frames(connection):
    read = connection.makefile("rb")
    while True:
        length = b""
        while not length.endswith(b" "):
            length += read.read(1)
        yield read.read(int(length)).decode()


with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
receiver = socket.create_server(("127.0.0.1", 0))
receiver.settimeout(30)
Path("relay.conf").write_text(CONFIGURATION % (port, receiver.getsockname()[1]))
connection, _ = receiver.accept()
connection.settimeout(30)
received = frames(connection)
is_as_told = True
with socket.create_connection(("127.0.0.1", port), timeout=30) as sender:
    for sent, wanted in zip(SENT, RELAYED, strict=True):
        message = f"<110>1 2026-11-29T01:02:03Z host program - - {sent} text"
        sender.sendall(f"{len(message)} {message}".encode())
        relayed = next(received)
        relayed = relayed[relayed.index("[") : relayed.rindex("]") + 1]
        print(f"sent    {sent}\nrelayed {relayed}")
        is_as_told &= relayed == wanted
sys.exit(not is_as_told)
PYTHON
python3 relay.py &
client=$!
while [ ! -s relay.conf ] && kill -0 "$client"; do sleep 0.1; done
libraries=usr/lib/syslog-ng:usr/lib/x86_64-linux-gnu:lib/x86_64-linux-gnu
LD_LIBRARY_PATH=$libraries usr/sbin/syslog-ng -F --no-caps -f relay.conf \
    --module-path usr/lib/syslog-ng/3.38 -p pid -R state -c control 2>log &
relay=$!
wait "$client"
