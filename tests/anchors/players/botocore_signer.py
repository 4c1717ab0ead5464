"""Signs a request to S3 by botocore; tells the Authorization field. Reads the request as JSON."""

import json
import sys
from datetime import datetime

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

asked = json.load(sys.stdin)
at = datetime.fromisoformat(asked["at"])
# The only way to have it sign at a given time.
botocore.auth.get_current_datetime = lambda **_: at.replace(tzinfo=None)
request = AWSRequest(asked["method"], asked["url"], asked["fields"], asked["body"].encode())
credentials = Credentials(asked["access_key"], asked["secret_key"], asked["session_token"])
botocore.auth.S3SigV4Auth(credentials, "s3", asked["region"]).add_auth(request)
sys.stdout.write(request.headers["Authorization"])
