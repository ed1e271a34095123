"""vmcatcher image proof and verify-proof: that an image was endorsed, in one file that anybody can check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli import completion
from vmcatcher.cli.boundary import flush, print_bytes
from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.services.proofs import ProofRequest

_STDOUT = "-"


@command(
    "image",
    "proof",
    epilog="The proof is of the newest admitted list that names the image, also where the image left since; "
    "--version and --sha512 ask for an earlier version. It needs the trust-anchor directory.\n\n"
    + examples(
        "vmcatcher image proof c0ffee00 -o c0ffee00.proof",
        "vmcatcher image proof c0ffee00 --version 1.4 -o - | ssh other vmcatcher image verify-proof -",
    ),
)
def proof(
    run: Run,
    image: Annotated[
        str,
        typer.Argument(metavar="IMAGE", help="An image: identifier, how it begins, title, or the beginning of its "
                       "SHA-512.", autocompletion=completion.images),
    ],
    *,
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="Where it goes; - is stdout.")],
    version: Annotated[str | None, typer.Option(metavar="VERSION", help="That version of the image.")] = None,
    sha512: Annotated[str | None, typer.Option(metavar="DIGEST", help="The one with these bytes.")] = None,
    cert_dir: Annotated[
        str | None, typer.Option("-c", "--cert-dir", metavar="DIR", help="Trust-anchor directory.")
    ] = None,
) -> Answer | int:  # fmt: skip
    """Write all that it takes to check elsewhere, without this store, that an image was endorsed."""
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.cli.output.proof import made_document  # noqa: PLC0415 - likewise
    from vmcatcher.errors.proof import StdoutTaken  # noqa: PLC0415 - likewise
    from vmcatcher.services.image_history import choose_past_image  # noqa: PLC0415 - likewise
    from vmcatcher.services.proofs import make_proof  # noqa: PLC0415 - likewise
    from vmcatcher.store.outside import write_outside  # noqa: PLC0415 - likewise

    if output == _STDOUT and run.is_json:
        raise StdoutTaken
    context = run.demanding()
    settings = run.with_flag("trust_directory", cert_dir).settings
    request = _request(choose_past_image(context, image), image, version, sha512)
    made = make_proof(context, wiring.trust_anchors(settings, context.layout), wiring.trust_rules(settings), request)
    if output == _STDOUT:
        print_bytes(made.content)
        flush()
    else:
        write_outside(output, made.content)
    text = f"proof of image {made.image.identifier} in version {made.image.version} written to {output}"
    show = (lambda _: None) if output == _STDOUT else (lambda screen: screen.line(text))
    return Answer(made_document(made, output), show, made.failed, is_report=True)


def _request(image: str, given: str, version: str | None, sha512: str | None) -> ProofRequest:
    from vmcatcher.services.image_history import is_digest  # noqa: PLC0415 - likewise
    from vmcatcher.services.proofs import ProofRequest  # noqa: PLC0415 - likewise

    # Who names an image by its bytes means the version that has them.
    if sha512 is None and version is None and is_digest(given) and not image.startswith(given):
        sha512 = given
    return ProofRequest(image, version, sha512)


@command(
    "image",
    "verify-proof",
    epilog="Needs neither store nor network. With -c it says whether the image is endorsed for you: by CAs that you "
    "trust, at the admission and at TIME. Without -c it says only that the proof is consistent in itself: whoever made "
    "it may have made its CA, too, so compare the fingerprint that is shown. Anybody with a certificate of a CA that "
    "you trust can sign a list: name who has to have signed with --signer.\n\n"
    "Ends with 0 when everything that was asked holds, else with 1, and a line for each thing that does not.\n\n"
    + examples(
        "vmcatcher image verify-proof c0ffee00.proof c0ffee00.qcow2 -c /etc/grid-security/certificates",
        'vmcatcher image verify-proof c0ffee00.proof -c DIR --signer "/DC=org/DC=example/CN=Alice"',
        "vmcatcher image verify-proof c0ffee00.proof --at admission   # an audit: it may have expired since",
    ),
    needs_store=False,
)
def verify_proof(
    run: Run,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The proof; - is stdin.")],
    image_file: Annotated[
        str | None, typer.Argument(metavar="IMAGEFILE", help="A file that has to be the image.")
    ] = None,
    *,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Judge at 2026-11-01, 2026-11-01T12:00:00Z, 7d (ago) or admission, not now."),
    ] = None,
    cert_dir: Annotated[
        str | None, typer.Option("-c", "--cert-dir", metavar="DIR", help="Directory of the CAs that you trust.")
    ] = None,
    signer: Annotated[
        str | None, typer.Option(metavar="DN", help="Subject of the certificate that has to have signed.")
    ] = None,
) -> Answer:  # fmt: skip
    """Check a proof of an image: signature, chain, revocation and digest; then and now; and a file against it."""
    from vmcatcher import wiring  # noqa: PLC0415 - likewise
    from vmcatcher.cli.output.proof import report_document, show_report  # noqa: PLC0415 - likewise
    from vmcatcher.services.context import Failure  # noqa: PLC0415 - likewise
    from vmcatcher.services.proof_check import ProofQuestions, check_proof, read_proof  # noqa: PLC0415 - likewise

    settings = run.with_flag("trust_directory", cert_dir).settings
    own = None if cert_dir is None else wiring.trust_anchors(settings, None)
    content = read_proof("/dev/stdin" if file == _STDOUT else file)
    with run.showing_progress() as progress:
        questions = ProofQuestions(_moment(at), own, signer, image_file, progress)
        found = check_proof(content, wiring.trust_rules(settings), questions)
    failed = [Failure(one.question, one.refusal) for one in found.findings if one.refusal is not None]
    code = 1 if failed else 0
    return Answer(report_document(found, cert_dir), lambda screen: show_report(screen, found, cert_dir), failed, code)


def _moment(at: str | None) -> datetime | None:
    from vmcatcher import wiring  # noqa: PLC0415 - likewise
    from vmcatcher.model.moment import parse_moment  # noqa: PLC0415 - likewise

    if at == "admission":
        return None
    now = wiring.clock()
    return now if at is None else parse_moment(at, now)
