#!/bin/sh
# OpenSSL 3.0 (`openssl ts` of Debian 12) and rfc3161-client 1.0.9, CPython 3.11: the client reads a
# time stamp with the chain of the authority only if the signer's certificate is shorter than its
# issuer's: OpenSSL writes the signer first, and the client demands the order of DER. It bites when
# an authority renews its certificate under a longer name: the client can read no new time stamp.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    rfc3161-client==1.0.9 cryptography==50.0.2
cd "$folder"
cat >openssl.cnf <<'CONFIGURATION'
[req]
prompt = no
distinguished_name = name
[name]
CN = a root, with the long name of its country
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = critical, CA:false
extendedKeyUsage = critical, timeStamping
[stamps]
serial = serial
signer_cert = signer.pem
certs = issuer.pem
signer_key = signer.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.32473.1
digests = sha256
ess_cert_id_alg = sha256
CONFIGURATION
cat >verify.py <<'PYTHON'
import sys
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificate
from rfc3161_client import VerifierBuilder, decode_timestamp_response

root = load_pem_x509_certificate(Path("root.pem").read_bytes())
verifier = VerifierBuilder().add_root_certificate(root).build()
try:
    response = decode_timestamp_response(Path("response").read_bytes())
    verifier.verify_message(response, Path("data").read_bytes())
except ValueError as error:
    print("    rfc3161-client:", str(error)[:72])
    sys.exit("InvalidSetOrdering" not in str(error) or sys.argv[1] != "longer")
print("    rfc3161-client: verified")
sys.exit(sys.argv[1] != "shorter")
PYTHON
echo 01 >serial
echo "something that happened" >data
key() {
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
}
certify() { # name, issuer, subject, extensions
    key "$1"
    openssl req -new -config openssl.cnf -key "$1.key" -subj "/CN=$3" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 2 \
        -extfile openssl.cnf -extensions "$4" -out "$1.pem" 2>/dev/null
}
openssl version
key root
openssl req -x509 -new -config openssl.cnf -extensions authority -key root.key -days 2 \
    -out root.pem
certify issuer root "an issuer" authority
openssl ts -query -data data -sha256 -cert -out query 2>/dev/null
for name in shorter longer; do
    subject="a signer"
    [ "$name" = shorter ] || subject="a signer of time stamps, with the name of its department"
    certify signer issuer "$subject" signer
    openssl ts -reply -config openssl.cnf -section stamps -queryfile query -out response 2>/dev/null
    bytes=$(openssl x509 -in signer.pem -outform DER | wc -c)
    echo "the signer's certificate is $name than its issuer's: $bytes bytes," \
        "$(openssl x509 -in issuer.pem -outform DER | wc -c) bytes"
    echo "    openssl: $(openssl ts -verify -in response -data data -CAfile root.pem 2>/dev/null)"
    openssl ts -verify -in response -data data -CAfile root.pem >/dev/null 2>&1
    venv/bin/python verify.py "$name"
done
