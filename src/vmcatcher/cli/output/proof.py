"""A proof and what was found about it: as documents for scripts, as facts for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmcatcher.cli.output.screen import Kind, Toned
from vmcatcher.model.instant import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vmcatcher.cli.output.screen import Cell, Screen
    from vmcatcher.services.proof_check import Finding, ProofReport, Question
    from vmcatcher.services.proofs import MadeProof

_WORDS: Final[Mapping[Question, str]] = {
    "trusted-then": "trusted then",
    "endorsed": "endorsed",
    "signer": "signer",
    "image": "image file",
}


def made_document(made: MadeProof, output: str) -> dict[str, object]:
    """Return what a proof that was made proves."""
    return {
        "file": output,
        "bytes": len(made.content),
        "image": made.image.identifier,
        "version": made.image.version,
        "sha512": made.image.sha512,
        "size": made.image.size_bytes,
        "list": {
            "identifier": made.admitted.listed.identifier,
            "version": made.admitted.listed.version,
            "admitted": made.admitted.admitted,
            "signer": str(made.admitted.signer),
        },
    }


def report_document(found: ProofReport, directory: str | None) -> dict[str, object]:
    """Return what was found about a proof; `directory` is the one of the CAs that were trusted."""
    held = found.held
    return {
        "image": held.image.identifier,
        "title": held.image.title,
        "version": held.image.version,
        "sha512": held.image.sha512,
        "size": held.image.size_bytes,
        "list": {
            "identifier": held.listed.identifier,
            "version": held.listed.version,
            "created": held.listed.created,
            "expires": held.listed.expires,
        },
        "signer": str(held.verified.signer),
        "issuer": str(held.verified.issuer),
        "admitted": held.proof.admitted,
        "verified": held.proof.verified,
        "judged_at": found.at,
        "anchor": {
            "subject": held.proof.anchor.subject,
            "fingerprint": held.proof.anchor.fingerprint,
            "directory": directory,
        },
        "consistent": True,
        "findings": [
            {
                "question": one.question,
                "holds": one.refusal is None,
                "error": one.refusal.id if one.refusal else None,
                "notes": list(one.notes),
            }
            for one in found.findings
        ],
        "holds": not found.refusals,
        "is_anchored_by_itself": directory is None,
    }


def show_report(screen: Screen, found: ProofReport, directory: str | None) -> None:
    """Show what a proof is about, then the answer to each question."""
    screen.facts(_facts(found))
    screen.facts([("consistent", Toned("yes", "good"), Kind.TEXT)])
    screen.facts([(_title(one, found), _answer(one, directory), Kind.TEXT) for one in found.findings])
    for note in (note for one in found.findings for note in one.notes):
        screen.facts([("note", note, Kind.TEXT)])
    if all(one.question != "signer" for one in found.findings):
        screen.facts([("signer", Toned("not asked: --signer says who has to have signed", "warn"), Kind.TEXT)])
    if not found.is_own_anchor:
        screen.line("This proves only that the file fits together: it was judged by the CA that came with it.", "warn")
        screen.line(
            "Compare the anchor's fingerprint with one that you trust, or give your own CAs with -c DIR.", "warn"
        )


def _facts(found: ProofReport) -> Iterator[tuple[str, Cell, Kind]]:
    held, listed = found.held, found.held.listed
    yield "image", held.image.identifier, Kind.NAME
    yield "title", held.image.title, Kind.TEXT
    yield "version", held.image.version, Kind.TEXT
    yield "size", held.image.size_bytes, Kind.SIZE
    yield "sha512", held.image.sha512, Kind.NAME
    yield "list", f"{listed.identifier} version {listed.version}", Kind.TEXT
    yield "list expires", listed.expires, Kind.TIME
    if held.image.valid_until is not None:
        yield "image expires", held.image.valid_until, Kind.TIME
    yield "signed by", str(held.verified.signer), Kind.TEXT
    yield "issued by", str(held.verified.issuer), Kind.TEXT
    yield "admitted", f"{instant_text(held.proof.admitted)} as the proof says", Kind.TEXT
    yield "anchor", held.proof.anchor.subject, Kind.TEXT
    yield "fingerprint", held.proof.anchor.fingerprint, Kind.NAME


def _title(one: Finding, found: ProofReport) -> str:
    return f"endorsed {instant_text(found.at)}" if one.question == "endorsed" else _WORDS[one.question]


def _answer(one: Finding, directory: str | None) -> Toned:
    if one.refusal is not None:
        return Toned(f"no: {one.refusal}", "bad")
    if directory is None and one.question == "endorsed":
        return Toned("yes, by the proof's own CA", "warn")
    return Toned("yes", "good")
