"""The endpoints of the seal, for the table of all endpoints."""

from collections.abc import Sequence
from typing import Final

from audit_api.formats.seals import SealOfItem
from audit_api.query.endpoint import Endpoint
from audit_api.query.filter_params import StoredFilters
from audit_api.query.params import EntryPath, InvocationPath, ProofParams
from audit_api.seal.evidence import GZIP, Evidence
from audit_api.seal.proofs import PLAIN, Proofs
from audit_log.reads import ReadKind

_JSON: Final = "application/json"


def seal_endpoints(proofs: Proofs, evidence: Evidence) -> Sequence[Endpoint]:
    """Return them."""
    return (
        Endpoint(
            name="proof_of_entry",
            path="/mcp-audit/entries/{entry_id}/proof",
            summary="The proof that an entry is sealed, as a `.tlog-proof` file, or what is "
            "known of its seal",
            query=ProofParams,
            place=EntryPath,
            can_miss=True,
            can_contradict=True,
            responses={PLAIN: None, _JSON: SealOfItem},
            serve=proofs.of_entry,
        ),
        Endpoint(
            name="proof_of_invocation",
            path="/mcp-audit/invocations/{invocation_id}/proof",
            summary="The proof that a tool call is sealed, as for an entry",
            query=ProofParams,
            place=InvocationPath,
            can_miss=True,
            can_contradict=True,
            responses={PLAIN: None, _JSON: SealOfItem},
            serve=proofs.of_tool_call,
        ),
        Endpoint(
            name="evidence",
            path="/mcp-audit/evidence",
            summary="Entries, tool calls and gaps with what proves them, and how to check it "
            "without this service, as a tar file",
            query=StoredFilters,
            responses={GZIP: None},
            kind=ReadKind.EVIDENCE,
            serve=evidence.evidence,
        ),
    )
