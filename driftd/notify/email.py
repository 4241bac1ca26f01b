"""E-mail: text and HTML, one thread per episode."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

import msgspec

from driftd.clock import Clock
from driftd.errors import ConfigError, NotifyError
from driftd.notify.egress import permitted
from driftd.notify.notifier import Receipt, Rejected
from driftd.notify.page import page
from driftd.notify.spoken import Spoken
from driftd.notify.templates import Texts
from driftd.notify.wording import Told, shortened, visible
from driftd.settings.channels import Email
from driftd.settings.load import read_secret

if TYPE_CHECKING:
    import aiosmtplib

SUBJECT_LIMIT: Final = 200
_MAILBOX: Final = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")
_ID: Final = re.compile(r"<[\w.@-]+>")


def letter(told: Told, settings: Email, name: str, at: datetime, thread: str = "") -> EmailMessage:
    """The mail of a message; `thread` is the Message-ID that its episode began with.

    No header can be added by what stands in a message: headers are made of one line each.
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address("driftd", addr_spec=settings.sender)
    mail["To"] = [Address(addr_spec=one) for one in settings.to]
    mail["Subject"] = shortened(visible(told.headline), SUBJECT_LIMIT)
    mail["Date"] = format_datetime(at.astimezone(UTC))
    mail["Message-ID"] = message_id(name, settings.sender)
    if thread and _ID.fullmatch(thread):
        mail["In-Reply-To"] = thread
        mail["References"] = thread
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(_text(told), cte="quoted-printable")
    mail.add_alternative(page(told), subtype="html", cte="quoted-printable")
    return mail


def message_id(name: str, sender: str) -> str:
    """The same for all attempts of one message."""
    return f"<{re.sub(r'[^A-Za-z0-9_-]', '', name)}@{sender.rpartition('@')[2]}>"


def _text(told: Told) -> str:
    facts = [f"{label}: {value}" for label, value in told.facts]
    return "\n".join([told.headline, "", *told.paragraphs(), "", *facts, ""])


class EmailNotifier(Spoken):
    """Delivers to one mail server; its password is read from the file at each attempt.

    Building one raises ConfigError when a file cannot be read.
    """

    def __init__(
        self, settings: Email, allow: tuple[str, ...], clock: Clock, limit: float, texts: Texts
    ) -> None:
        """`allow` are the networks that settings open for receivers."""
        super().__init__(texts)
        self._settings = settings
        self._allow = allow
        self._clock = clock
        self._limit = limit
        self._receiver = f"mail server of {settings.name}"
        self._password()
        self._tls()

    def to(self, recipient: str) -> EmailNotifier:
        """See `Addressable.to`: another address."""
        if not _MAILBOX.fullmatch(recipient):
            raise ConfigError(f"{shortened(visible(recipient), 80)!r} is no mail address")
        settings = msgspec.structs.replace(self._settings, to=(recipient,))
        return EmailNotifier(settings, self._allow, self._clock, self._limit, self._texts)

    async def say(self, told: Told, name: str, earlier: Receipt | None) -> Receipt | None:
        """See `Spoken.say`; the receipt names the mail that begins the thread."""
        thread = earlier.data.get("messageId", "") if earlier is not None else ""
        mail = letter(told, self._settings, name, self._clock.now(), thread)
        try:
            async with asyncio.timeout(self._limit):
                await self._deliver(mail)
        except TimeoutError:
            raise NotifyError(
                f"the {self._receiver} did not answer within {self._limit:g} s"
            ) from None
        return earlier if thread else Receipt({"messageId": str(mail["Message-ID"])})

    async def _deliver(self, mail: EmailMessage) -> None:
        import aiosmtplib

        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            timeout=self._limit,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            tls_context=self._tls(),
            username=settings.username or None,
            password=self._password() or None,
        )
        try:
            # The client owns the connection from here on, whatever becomes of it.
            await client.connect(sock=await self._connected())
            refused, _ = await client.send_message(mail)
            with suppress(aiosmtplib.SMTPException):
                await client.quit()
        except aiosmtplib.SMTPException as error:
            raise self._refusal(error) from None
        except (OSError, ValueError) as error:
            raise NotifyError(
                f"cannot reach the {self._receiver}: {type(error).__name__}"
            ) from None
        finally:
            client.close()
        if refused:
            told = f"the {self._receiver} refused {len(refused)} of the recipients"
            raise Rejected(told, for_message=True)

    async def _connected(self) -> socket.socket:
        """A connection to an address that may be connected to, judged before it is made."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        last: OSError | None = None
        for address in await permitted(settings.host, settings.port, self._allow):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            made = socket.socket(family, socket.SOCK_STREAM)
            made.setblocking(False)
            try:
                await loop.sock_connect(made, (address, settings.port))
            except OSError as error:
                made.close()
                last = error
                continue
            except BaseException:
                made.close()
                raise
            return made
        why = type(last).__name__ if last is not None else "no address"
        raise NotifyError(f"cannot reach the {self._receiver}: {why}")

    def _refusal(self, error: aiosmtplib.SMTPException) -> NotifyError:
        """The code alone: what a server says may repeat addresses and logins."""
        code = getattr(error, "code", None)
        if code is None:
            return NotifyError(f"the {self._receiver} failed: {type(error).__name__}")
        return Rejected(
            f"the {self._receiver} answered {int(code)} ({type(error).__name__})",
            for_message=type(error).__name__ in ("SMTPDataError", "SMTPRecipientRefused"),
        )

    def _password(self) -> str:
        file = self._settings.password_file
        return read_secret(file, "the password for the mail server") if file else ""

    def _tls(self) -> ssl.SSLContext | None:
        if self._settings.tls == "none":
            return None
        file = self._settings.ca_file
        try:
            return ssl.create_default_context(cafile=file or None)
        except (OSError, ssl.SSLError):
            raise ConfigError(
                f"the certificates in {file} cannot be read",
                hint="write certificate authorities in PEM into it",
            ) from None
