"""What the trust tools found, for people, for pipes, and as JSON."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

from vmcatcher.cli.output.screen import Column, Kind, Toned
from vmcatcher.model.explanation import Outcome, Step
from vmcatcher.model.instant import instant_text
from vmcatcher.model.upkeep import Weight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmcatcher.cli.output.screen import Screen, Tone
    from vmcatcher.errors import VmcatcherError
    from vmcatcher.model.explanation import CertificateFacts, CrlFacts
    from vmcatcher.model.upkeep import Finding
    from vmcatcher.services.trust_check import Checked, TrustReport
    from vmcatcher.services.trust_crls import CrlFetched, CrlReport
    from vmcatcher.services.trust_explain import Explanation

_TONES: Final[dict[str, Tone]] = {
    "ok": "good", "new": "good", "unchanged": "good", "warning": "warn", "warns": "warn", "kept": "warn",
    "failed": "bad", "refuses": "bad", "skipped": "dim",
}  # fmt: skip


def _toned(word: str) -> Toned:
    return Toned(word, _TONES.get(word))


# -- trust check


def check_document(report: TrustReport) -> dict[str, object]:
    """Return a check of the trust-anchor directory as JSON values."""
    authorities = [_authority_document(one) for one in report.checked if one.ca is not None]
    others = [_finding_document(finding) for one in report.checked if one.ca is None for finding in one.findings]
    return {
        "directory": report.directory,
        "overlay": report.overlay,
        "files": report.files,
        "refuses": report.refuses,
        "authorities": authorities,
        "findings": others,
    }


def _authority_document(one: Checked) -> dict[str, object]:
    assert one.ca is not None, "the caller looked"
    return {
        "subject": one.ca.subject,
        "file": one.ca.file,
        "not_after": one.ca.not_after,
        "key": one.ca.key,
        "policies": list(one.ca.policies),
        "crl": one.ca.crl,
        "crl_made": one.ca.crl_made,
        "crl_ends": one.ca.crl_ends,
        "needed": one.is_needed,
        "lists": list(one.lists),
        "findings": [_finding_document(finding) for finding in one.findings],
    }


def _finding_document(finding: Finding) -> dict[str, object]:
    return {"id": finding.id, "weight": finding.weight.value, "said": finding.said, "file": finding.file}


def show_check(screen: Screen, report: TrustReport) -> None:
    """Show findings, those that refuse a needed list first, and how many there are."""
    rows = sorted(_check_rows(report), key=lambda row: (row[0] != "needed", row[1] != Weight.REFUSES, row[0], row[3]))
    if not screen.is_terminal:
        columns = (Column("about"), Column("so"), Column("finding"), Column("which"), Column("what"))
        screen.table(columns, rows)
        return
    for about, weight, name, _, said in rows:
        tone = "dim" if about == "unneeded" else _TONES[weight]
        screen.line(f"{weight:8} {said} [{name}]", tone)
    cas = [one for one in report.checked if one.ca is not None]
    refusing = sum(1 for one in report.checked if one.refuses)
    needed = sum(1 for one in cas if one.is_needed)
    found = f"{report.files} files, {len(cas)} CAs, {needed} of them needed; {len(rows)} findings"
    verdict = f", {refusing} CAs for which lists are refused" if refusing else ", none for which a list is refused"
    screen.line(found + verdict, "bad" if refusing else "good")


def _check_rows(report: TrustReport) -> Iterator[tuple[str, str, str, str | None, str]]:
    for one in report.checked:
        about = "file" if one.ca is None else "needed" if one.is_needed else "unneeded"
        for finding in one.findings:
            which = finding.file if one.ca is None else one.ca.subject
            yield about, finding.weight.value, finding.id, which or "", finding.said


# -- trust fetch-crls


def crls_document(report: CrlReport) -> dict[str, object]:
    """Return what became of the revocation lists as JSON values."""
    return {"crls": [_crl_document(one) for one in report.crls]}


def _crl_document(one: CrlFetched) -> dict[str, object]:
    return {
        "alias": one.alias,
        "ca": one.ca,
        "outcome": one.outcome.value,
        "url": one.url,
        "made": one.made,
        "ends": one.ends,
        "needed": one.is_needed,
        "problems": [_error_document(error) for error in one.problems],
    }


def _error_document(error: VmcatcherError) -> dict[str, object]:
    return {"id": error.id, "text": str(error), "line": error.one_line()}


def show_crls(screen: Screen, report: CrlReport) -> None:
    """Show what became of the revocation list of each CA."""
    columns = (
        Column("CA", Kind.NAME),
        Column("list"),
        Column("made", Kind.AGE),
        Column("next", Kind.AGE),
        Column("from"),
    )
    screen.table(columns, [(one.alias, _toned(one.outcome.value), one.made, one.ends, one.url) for one in report.crls])


# -- trust explain


def explanation_document(found: Explanation) -> dict[str, object]:
    """Return every step of judging a list as JSON values."""
    refusal = found.refusal
    listed = found.listed
    return {
        "source": found.source,
        "subscription": found.list_id,
        "list": None
        if listed is None
        else {
            "identifier": listed.identifier,
            "version": listed.version,
            "created": listed.created,
            "expires": listed.expires,
            "images": len(listed.images),
        },
        "refusal": None if refusal is None else _error_document(refusal),
        "steps": [_step_document(step) for step in found.steps],
    }


def _step_document(step: Step) -> dict[str, object]:
    return {
        "name": step.name,
        "outcome": step.outcome.value,
        "said": step.said,
        "error": None if step.error is None else _error_document(step.error),
        "certificates": [_plain(one) for one in step.certificates],
        "crls": [_plain(one) for one in step.crls],
        "details": list(step.details),
    }


def _plain(one: CertificateFacts | CrlFacts) -> dict[str, object]:
    return {field.name: getattr(one, field.name) for field in fields(one)}


def show_explanation(screen: Screen, found: Explanation) -> None:
    """Show each step with what belongs to it, and in the end what stops the list."""
    if not screen.is_terminal:
        columns = (Column("step"), Column("verdict"), Column("what was found"))
        screen.table(columns, [row for step in found.steps for row in _step_rows(step)])
        return
    for step in found.steps:
        for name, outcome, said in _step_rows(step):
            if outcome is None:
                screen.line(f"{'':23}{said}", "dim")
            else:
                screen.line(f"{outcome:8} {name:14}{said}", _TONES.get(outcome))
    refusal = found.refusal
    if refusal is None:
        screen.line(f"{found.source}: would be taken", "good")
    else:
        screen.line(f"{found.source}: refused [{refusal.id}]: {refusal.one_line()}", "bad")


def _step_rows(step: Step) -> Iterator[tuple[str, str | None, str]]:
    """Yield the line of a step and, with a dot before their kind, those of what belongs to it."""
    yield step.name, step.outcome.value, step.said
    for certificate in step.certificates:
        yield ".certificate", None, _certificate_words(certificate)
    for crl in step.crls:
        yield ".crl", None, _crl_words(crl)
    for detail in step.details:
        yield ".detail", None, detail
    if step.error is not None and step.outcome is Outcome.FAILED:
        yield ".error", None, step.error.id
        if step.error.one_line() != str(step.error):
            yield ".hint", None, step.error.one_line().removeprefix(f"{step.error}; ")


def _certificate_words(one: CertificateFacts) -> str:
    usages = ", ".join((*one.usages, *one.extended_usages)) or "any"
    held = f"valid {instant_text(one.not_before)} to {instant_text(one.not_after)}"
    facts = f"{one.subject}, serial {one.serial}, issued by {one.issuer}, {held}, {one.key}, for {usages}"
    return f"{facts}, in {one.file}" if one.file else f"{facts}, came with the list"


def _crl_words(one: CrlFacts) -> str:
    ends = instant_text(one.next_update) if one.next_update else "never"
    so = "used" if one.is_usable else "not used"
    return f"{one.file}, {so}: of {one.issuer}, made {instant_text(one.this_update)}, next due {ends}"
