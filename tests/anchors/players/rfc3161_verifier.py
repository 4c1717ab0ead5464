"""Verifies a time-stamp token by rfc3161-client; exits with 0 if it holds.

Arguments: the response, the data that was stamped, and the authority's certificate.
"""

import sys
from pathlib import Path

import cryptography.x509
from rfc3161_client import VerifierBuilder, decode_timestamp_response

response, data, authority = (Path(argument).read_bytes() for argument in sys.argv[1:])
root = cryptography.x509.load_pem_x509_certificate(authority)
verifier = VerifierBuilder().add_root_certificate(root).build()
sys.exit(not verifier.verify_message(decode_timestamp_response(response), data))
