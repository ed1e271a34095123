"""vmcatcher subscription set, image reset: decisions that stand, and hold for lists still to come."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli import completion
from vmcatcher.cli.commands.batch import each
from vmcatcher.cli.commands.common import Answer, Run, command, examples
from vmcatcher.model.subscription import NewImages, TlsTrust

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmcatcher.services.decisions import Decisions


class Whose(StrEnum):
    """Whose certificates an https server may show."""

    SYSTEM = "system"
    IGTF = "igtf"


_List = Annotated[
    str,
    typer.Argument(
        metavar="LIST",
        help="A subscription: identifier, how it begins, title or URI.",
        autocompletion=completion.subscriptions,
    ),
]
_Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE...", help="Images: identifiers, how they begin, titles.", autocompletion=completion.images
    ),
]
_DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="Say what would be done and change nothing.")]
_Where = Annotated[
    str | None, typer.Option("--where", metavar="RULE", help="Select the images that this rule chooses.")
]
_NoWhere = Annotated[bool, typer.Option("--no-where", help="Have no rule; what it selected stays selected.")]
_NewImages = Annotated[
    NewImages | None, typer.Option(help="What becomes of images that the list newly names, where there is no rule.")
]
_MaxValidity = Annotated[
    str | None, typer.Option(metavar="TIME", help="How long after its creation the list may hold, such as 90d; 0: any.")
]
_NoMaxValidity = Annotated[bool, typer.Option("--no-max-validity", help="Go by the setting trust.max_validity.")]
_Keep = Annotated[
    bool | None,
    typer.Option("--keep-until-replaced/--no-keep-until-replaced", help="Keep a replaced image until the new is here."),
]
_Pin = Annotated[bool | None, typer.Option("--pin-uri/--no-pin-uri", help="Stay at the URI, whatever the list names.")]
_Uri = Annotated[str | None, typer.Option(metavar="URI", help="Fetch the list from here.")]
_Tls = Annotated[
    Whose | None, typer.Option(help="Whose CAs an https server needs: those of the system, or the trust anchors.")
]
_Insecure = Annotated[
    bool | None, typer.Option("--insecure/--no-insecure", help="Do not verify the https server; the list always is.")
]
_FileImages = Annotated[
    bool | None, typer.Option("--file-images/--no-file-images", help="Let the list name files of this machine.")
]
_PlainHttp = Annotated[
    bool | None,
    typer.Option("--password-over-http/--no-password-over-http", help="Send the password over plain http, too."),
]
_Username = Annotated[str | None, typer.Option(metavar="USER", help="User name for the server of the list.")]
_NoUsername = Annotated[bool, typer.Option("--no-username", help="Send no user name.")]
_PasswordFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="Password in the first line; - is stdin, on a terminal a prompt.")
]
_NoPassword = Annotated[bool, typer.Option("--no-password", help="Forget the password.")]
_Mirrors = Annotated[
    list[str] | None, typer.Option("--mirror", metavar="URL", help="Where else its images may be (repeatable).")
]
_NoMirrors = Annotated[bool, typer.Option("--no-mirrors", help="Forget the mirrors of this subscription.")]


@command(
    "subscription",
    "set",
    epilog="A rule is terms with blanks between them, which must all hold: field, operator, value. Fields: arch os "
    "osversion osname format hypervisor size ram cores vo title description version id sha512 comments uri, and whole "
    "keys of the list such as ad:appid. Operators: = != ~ !~ (contains, in any case) < <= > >=. Sizes: 500M, 20G of "
    '1024. Alternatives: arch=x86_64|aarch64. Values with blanks: os~"Scientific Linux". It is applied at once and at '
    "each update. What is selected by hand stays; `vmcatcher image reset` leaves it to the rule again.\n\n"
    "Shows what was one thing and is another now; nothing where all was so already. In a pipe: `set`, name, old, new; "
    "`rule`, how many images it selects, of how many; with --dry-run `image`, identifier, what becomes of it, bytes, "
    "title, why; `note`, text.\n\n"
    + examples(
        "vmcatcher subscription set LIST --where 'arch=x86_64 os~Ubuntu format=qcow2 size<20G' --dry-run",
        "vmcatcher subscription set LIST --max-validity 90d --keep-until-replaced",
        "vmcatcher subscription set LIST --username token --password-file -",
    ),
)
def set_up(  # noqa: PLR0913 - a parameter for each flag: typer reads them from here
    run: Run,
    subscription: _List,
    *,
    where: _Where = None,
    no_where: _NoWhere = False,
    new_images: _NewImages = None,
    max_validity: _MaxValidity = None,
    no_max_validity: _NoMaxValidity = False,
    keep_until_replaced: _Keep = None,
    pin_uri: _Pin = None,
    uri: _Uri = None,
    tls: _Tls = None,
    insecure: _Insecure = None,
    file_images: _FileImages = None,
    password_over_http: _PlainHttp = None,
    username: _Username = None,
    no_username: _NoUsername = False,
    password_file: _PasswordFile = None,
    no_password: _NoPassword = False,
    mirror: _Mirrors = None,
    no_mirrors: _NoMirrors = False,
    dry_run: _DryRun = False,
) -> Answer:
    """Change what is decided about a subscription: its rule, its limits, how its server is spoken to."""
    from vmcatcher.services.decisions import Decisions  # noqa: PLC0415 - `--help` must not pay for it

    decisions = Decisions(
        where=_either("where", where, no=no_where),
        new_images=new_images,
        max_validity_s=_limit(max_validity, no=no_max_validity),
        keep_until_replaced=keep_until_replaced,
        pin_uri=pin_uri,
        uri=uri,
        tls=None if tls is None else TlsTrust.IGTF if tls is Whose.IGTF else TlsTrust.BROWSER,
        insecure=insecure,
        file_images=file_images,
        password_over_http=password_over_http,
        username=_either("username", username, no=no_username),
        password=_password(password_file, no=no_password),
        mirrors=_mirrors(mirror, no=no_mirrors),
    )
    return _decide(run, subscription, decisions, dry_run=dry_run)


def _decide(run: Run, subscription: str, decisions: Decisions, *, dry_run: bool) -> Answer:
    from vmcatcher.cli.output.rules import decided_document, show_decided  # noqa: PLC0415 - likewise
    from vmcatcher.errors.rules import NothingToSet  # noqa: PLC0415 - likewise
    from vmcatcher.services.choosing import choose_subscription  # noqa: PLC0415 - likewise
    from vmcatcher.services.decisions import decide  # noqa: PLC0415 - likewise

    context = run.demanding() if dry_run else run.writing()
    list_id = choose_subscription(context, subscription).identifier
    if decisions.is_empty:
        raise NothingToSet(list_id=list_id)
    decided = decide(context, list_id, decisions, dry_run=dry_run)
    document = decided_document(decided, dry_run=dry_run)
    return Answer(document, lambda screen: show_decided(screen, decided, dry_run=dry_run), is_report=not dry_run)


def _demand_one(option: str, opposite: str, *, given: bool, no: bool) -> None:
    from vmcatcher.errors.rules import OptionsContradict  # noqa: PLC0415 - likewise

    if given and no:
        raise OptionsContradict(one=option, other=opposite)


def _either(name: str, given: str | None, *, no: bool) -> str | None:
    """Return what was given, or the empty text, which takes a thing away, where its opposite was."""
    _demand_one(f"--{name}", f"--no-{name}", given=given is not None, no=no)
    return "" if no else given


def _mirrors(given: Sequence[str] | None, *, no: bool) -> tuple[str, ...] | None:
    _demand_one("--mirror", "--no-mirrors", given=bool(given), no=no)
    return () if no else tuple(given) if given else None


def _password(path: str | None, *, no: bool) -> str | None:
    from vmcatcher.cli.passwords import read_password  # noqa: PLC0415 - likewise
    from vmcatcher.errors.requests import BadPassword  # noqa: PLC0415 - likewise

    _demand_one("--password-file", "--no-password", given=path is not None, no=no)
    if no or path is None:
        return "" if no else None
    password = read_password(path)
    if not password:
        raise BadPassword(why=f"the first line of {path} is empty; --no-password forgets the one that is there")
    return password


def _limit(given: str | None, *, no: bool) -> int | None:
    """Return the longest validity in seconds.

    Raises:
        BadSetting: it is no time, or a longer one than anybody means.
    """
    from vmcatcher.errors.settings import BadSetting  # noqa: PLC0415 - likewise
    from vmcatcher.model.quantities import TIMES, seconds_in  # noqa: PLC0415 - likewise
    from vmcatcher.model.validity import LONGEST_S  # noqa: PLC0415 - likewise
    from vmcatcher.services.decisions import OF_THE_SETTING  # noqa: PLC0415 - likewise

    _demand_one("--max-validity", "--no-max-validity", given=given is not None, no=no)
    if no or given is None:
        return OF_THE_SETTING if no else None
    found = seconds_in(given)
    if found is None:
        raise BadSetting(name="--max-validity", value=given, expected=TIMES)
    if found > LONGEST_S or 0 < found < 1:
        raise BadSetting(name="--max-validity", value=given, expected="1s to 3650d, or 0 for no limit")
    return int(found)


@command(
    "image",
    "reset",
    epilog=examples("vmcatcher image reset c0ffee00     # was selected or deselected by hand"),
)
def reset(run: Run, images: _Images) -> Answer:
    """Leave it to the rule of their subscription again whether images are selected."""
    from vmcatcher.model.identity import ImageId  # noqa: PLC0415 - likewise
    from vmcatcher.services.choosing import choose_image  # noqa: PLC0415 - likewise
    from vmcatcher.services.rules import choose_by_rule  # noqa: PLC0415 - likewise

    context = run.writing()

    def left_to_rule(given: str) -> tuple[str, bool]:
        image = ImageId(choose_image(context, given).identifier)
        return choose_by_rule(context, [image])[0]

    done, failed = each(images, left_to_rule)
    result = {"images": [{"image": image, "selected": selected} for image, selected in done]}
    lines = [f"{image} {'is selected' if selected else 'is not selected'} by rule" for image, selected in done]
    return Answer(result, lambda screen: screen.lines(lines), failed, is_report=True)
