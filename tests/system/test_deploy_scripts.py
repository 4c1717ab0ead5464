import asyncio
import os
import subprocess

import asyncpg
import pytest

from tests.neighbours.program import CHECKOUT
from tests.system.debian import need, run

DEPLOY = CHECKOUT / "deploy"
ROLES = ("owner", "proxy", "api", "ingest")


async def test_the_roles_get_the_passwords_of_the_environment(postgres, empty_database_url):
    need("psql")
    administrator = await asyncpg.connect(empty_database_url)
    try:
        for role in ROLES:
            await administrator.execute(f"CREATE ROLE podwarden_audit_{role} LOGIN")
        passwords = {f"{role.upper()}_PASSWORD": f'it\'s "{role}"\\' for role in ROLES}
        await asyncio.to_thread(
            subprocess.run,
            ["psql", "--no-psqlrc", f"--file={DEPLOY / 'passwords.sql'}", empty_database_url],
            env={"PATH": os.environ["PATH"], **passwords},
            check=True,
            capture_output=True,
        )
        for role in ROLES:
            theirs = await asyncpg.connect(
                empty_database_url,
                user=f"podwarden_audit_{role}",
                password=passwords[f"{role.upper()}_PASSWORD"],
            )
            await theirs.close()
        assert "it's" not in postgres.log_file.read_text()
    finally:
        for role in ROLES:
            await administrator.execute(f"DROP ROLE podwarden_audit_{role}")
        await administrator.close()


@pytest.mark.parametrize("port", [8000, 8100])
def test_the_packet_filter_keeps_others_from_port_8000_alone(port, tmp_path):
    """Two network namespaces, a cable between them, a server in the one that has the rules."""
    need("nft", "ip", "unshare")
    probe = tmp_path / "probe.py"
    probe.write_text(_PROBE)
    rules = DEPLOY / "only-through-proxy.nft"

    said = run("unshare", "--net", "--mount", "sh", "-ec", _CABLE, "sh", rules, probe, str(port))

    assert said.split() == ["reached", "refused" if port == 8000 else "reached"]


_CABLE = """
mount -t tmpfs none /run
mkdir /run/netns
ip netns add other
ip link add here type veth peer name there netns other
ip address add 192.0.2.1/30 dev here
ip link set here up
ip link set lo up
ip -n other address add 192.0.2.2/30 dev there
ip -n other link set there up
nft -f "$1"
nft -f "$1"
exec python3 "$2" "$3"
"""
_PROBE = '''
import socket, subprocess, sys
port = int(sys.argv[1])
with socket.create_server(("0.0.0.0", port)):
    ask = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5).close()
    print("reached")
except ConnectionRefusedError:
    print("refused")
"""
    for where, words in (("127.0.0.1", []), ("192.0.2.1", ["ip", "netns", "exec", "other"])):
        subprocess.run([*words, "python3", "-c", ask, where, str(port)], check=True)
'''
