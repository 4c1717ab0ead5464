"""Decides what the witness signs, by c2sp.org/tlog-witness."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from audit_api.errors import ApiError, NotFoundError
from audit_api.witness.folder import WitnessFolder
from audit_api.witness.trusted_logs import TrustedLogs
from audit_log.errors import ProofError, SealFormatError, SignatureError
from audit_log.seal.add_checkpoint import AddCheckpoint
from audit_log.seal.checkpoint import Checkpoint
from audit_log.seal.cosignature import cosign
from audit_log.seal.note import Note, Signature
from audit_log.seal.proofs import verify_consistency
from audit_log.seal.tree import EMPTY_ROOT


class MalformedCheckpointError(ApiError):
    """The request is none of the protocol."""

    status = HTTPStatus.BAD_REQUEST


class UntrustedCheckpointError(ApiError):
    """No trusted key of the log has signed the checkpoint, or a signature is wrong."""

    status = HTTPStatus.FORBIDDEN


class ContradictoryCheckpointError(ApiError):
    """The checkpoint does not continue the last one that was signed: a fork, or a wrong proof."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class OtherSizeError(ApiError):
    """The client takes the witness to be at another size than it is."""

    status: ClassVar[HTTPStatus] = HTTPStatus.CONFLICT

    def __init__(self, size: int) -> None:
        super().__init__(f"The witness has {size} leaves of this log")
        self.size = size


@dataclass(frozen=True, slots=True)
class Witness:
    """Signs checkpoints that continue what it has signed. One call at a time; it uses the disk."""

    logs: TrustedLogs
    folder: WitnessFolder
    now: Callable[[], float]
    """The time in Unix seconds."""

    def add_checkpoint(self, body: bytes) -> Signature:
        """Return the cosignature of the checkpoint in *body*, once it is on disk.

        Raise one of the errors above, NotFoundError if the log is unknown, or OSError,
        SealFormatError and WitnessFolderError if the folder cannot be used.
        """
        key = self.folder.open()
        request, checkpoint = _parsed(body)
        keys = self.logs.keys_of(checkpoint.origin)
        if not keys:
            raise NotFoundError("The log is unknown to this witness")
        try:
            signers = request.note.signed_by(keys)
        except SignatureError as error:
            raise UntrustedCheckpointError(str(error)) from None
        if request.old_size > checkpoint.size:
            raise MalformedCheckpointError("The old size is larger than the checkpoint's")
        self._check_growth(request, checkpoint)
        cosignature = cosign(request.note, key, int(self.now()))
        own = [line for line in request.note.signatures if any(map(line.is_of, signers))]
        self.folder.keep(checkpoint.origin, Note(request.note.text, (*own, cosignature)))
        return cosignature

    def _check_growth(self, request: AddCheckpoint, checkpoint: Checkpoint) -> None:
        last = self.folder.last(checkpoint.origin)
        signed = None if last is None else Checkpoint.parse(last.text)
        size, root = (0, EMPTY_ROOT) if signed is None else (signed.size, signed.root)
        if request.old_size != size:
            raise OtherSizeError(size)
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise ContradictoryCheckpointError("The root of a log without leaves is wrong")
        try:
            verify_consistency(size, root, checkpoint.size, checkpoint.root, request.proof)
        except ProofError as error:
            raise ContradictoryCheckpointError(str(error)) from None


def _parsed(body: bytes) -> tuple[AddCheckpoint, Checkpoint]:
    try:
        request = AddCheckpoint.parse(body)
        return request, Checkpoint.parse(request.note.text)
    except SealFormatError as error:
        raise MalformedCheckpointError(str(error)) from None
