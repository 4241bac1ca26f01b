"""E-mail to a real SMTP server."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from driftd.errors import ConfigError, NotifyError
from driftd.notify.email import EmailNotifier, letter
from driftd.notify.notifier import Addressable, Receipt, Rejected
from driftd.notify.wording import Told, Tone, told
from driftd.settings.channels import Email
from tests.testbed.webserver import make_tls
from tests.unit.notify.messages import KINDS, digest, hostile, message, of_kind, recovered, texts
from tests.unit.reports import START

LOCAL = ("127.0.0.0/8", "::1")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """An authority's file, and the context of a server that it signed for."""
    made = make_tls(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server)
    return str(made.ca), context


class Mailbox:
    """What a server took."""

    def __init__(self) -> None:
        self.mails = []
        self.recipients = []
        self.logins = []
        self.encrypted = []
        self.refuse = ""

    async def handle_DATA(self, _server, session, envelope):  # noqa: N802 - the name it calls
        """Keep a mail, or refuse it."""
        if self.refuse:
            return self.refuse
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        self.recipients.append(envelope.rcpt_tos)
        self.encrypted.append(session.ssl is not None)
        return "250 OK"

    def authenticate(self, _server, _session, _envelope, _mechanism, data):
        """Take one login."""
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"s3cr3t", handled=False)


@contextmanager
def server(**options) -> Iterator[tuple[Mailbox, int]]:
    """A server on loopback, and its port."""
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(
        box, hostname="127.0.0.1", port=port, authenticator=box.authenticate, **options
    )
    controller.start()
    try:
        yield box, port
    finally:
        controller.stop()


def settings(port, **fields):
    """A channel to the server, without TLS unless fields say otherwise."""
    fields.setdefault("tls", "none")
    fields.setdefault("host", "127.0.0.1")
    return Email(port=port, sender="driftd@example.com", to=("ops@example.com",), **fields)


def notifier(found, clock, limit=5):
    """What delivers there."""
    return EmailNotifier(found, LOCAL, clock, limit, texts())


async def test_a_mail_arrives_as_text_and_html(clock):
    """Both parts say what, where, the values and who."""
    with server() as (box, port):
        await notifier(settings(port), clock).send(message())
    [mail] = box.mails
    assert box.recipients == [["ops@example.com"]]
    assert mail["Subject"] == "shop on production: 1 field drifted from Git"
    assert mail["From"] == "driftd <driftd@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_body(("plain",)).get_content()
    assert "• Deployment shop/web /spec/replicas: 3 → 5 by kubectl-edit" in text
    assert "Cluster: production" in text
    page = mail.get_body(("html",)).get_content()
    for part in ("Deployment shop/web", "/spec/replicas", ">3<", ">5<", "kubectl-edit"):
        assert part in page


async def test_later_mails_stand_in_the_thread_of_the_onset(clock):
    """The receipt of the onset's mail makes replies; repeated attempts have one Message-ID."""
    with server() as (box, port):
        mailer = notifier(settings(port), clock)
        receipt = await mailer.send(message())
        assert await mailer.send(recovered(), receipt) == receipt
        await mailer.send(message())
        await mailer.send_digest(digest())
    first, second, again, many = box.mails
    assert receipt == Receipt({"messageId": first["Message-ID"]})
    assert (second["In-Reply-To"], second["References"]) == (first["Message-ID"],) * 2
    assert again["Message-ID"] == first["Message-ID"] != second["Message-ID"]
    assert first["References"] is many["References"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_a_mail(kind):
    """Whatever happened, there is a subject and both parts."""
    mail = letter(told(of_kind(kind)), settings(25), "msg_1", START)
    assert mail["Subject"].startswith("shop on production: ")
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


async def test_hostile_values_add_no_header_and_no_element(clock):
    """S-63: line ends in values end no header, and HTML in values is text."""
    with server() as (box, port):
        await notifier(settings(port), clock).send(hostile())
    [mail] = box.mails
    assert mail["Bcc"] is None
    assert box.recipients == [["ops@example.com"]]
    assert len(" ".join(mail["Subject"].split())) <= 200
    page = mail.get_body(("html",)).get_content()
    assert "<b onclick" not in page
    assert "<https" not in page
    assert "&lt;b onclick=x&gt;" in page


def test_a_headline_of_ones_own_cannot_add_a_header():
    """Templates may give line ends: what reaches the header is one line."""
    found = Told(headline="a\r\nBcc: x@y.z", tone=Tone.BAD, own=("<script>",))
    mail = letter(found, settings(25), "m", START, thread="<a@b>\r\nX: y")
    assert mail["Subject"] == "a Bcc: x@y.z"
    assert (mail["Bcc"], mail["X"], mail["References"]) == (None, None, None)
    assert b"\r\nBcc" not in mail.as_bytes().partition(b"\r\n\r\n")[0]
    assert "<script>" not in mail.get_body(("html",)).get_content()


async def test_starttls_and_a_login(tmp_path, clock, certificate):
    """The password goes through TLS that is verified against the authorities of the settings."""
    authority, context = certificate
    password = tmp_path / "password"
    password.write_text("s3cr3t\n")
    secured = {"username": "me", "password_file": str(password), "host": "localhost"}
    with server(tls_context=context, require_starttls=True) as (box, port):
        found = settings(port, tls="starttls", ca_file=authority, **secured)
        await notifier(found, clock).send(message())
        untrusted = settings(port, tls="starttls", **secured)
        with pytest.raises(NotifyError) as caught:
            await notifier(untrusted, clock).send(message())
        password.write_text("s3cr3t-wrong")
        with pytest.raises(Rejected, match="535") as refused:
            await notifier(found, clock).send(message())
    assert box.encrypted == [True]
    assert box.logins[0] == (b"me", b"s3cr3t")
    assert {password for _, password in box.logins} == {b"s3cr3t", b"s3cr3t-wrong"}
    assert "s3cr3t" not in caught.value.message + refused.value.message


async def test_tls_from_the_first_byte_on(clock, certificate):
    """`tls` begins with TLS, as servers on port 465 want it."""
    authority, context = certificate
    with server(ssl_context=context) as (box, port):
        found = settings(port, tls="tls", ca_file=authority, host="localhost")
        await notifier(found, clock).send(message())
    assert len(box.mails) == 1


async def test_a_server_without_starttls_gets_nothing(clock):
    """What asks for TLS never falls back to plain text."""
    with server() as (box, port), pytest.raises(NotifyError):
        await notifier(settings(port, tls="starttls"), clock).send(message())
    assert box.mails == []


async def test_a_refusal_tells_the_code_and_not_the_words(clock):
    """What a server says may repeat addresses; the code says enough."""
    with server() as (box, port):
        box.refuse = "552 5.3.4 too big for ops@example.com"
        with pytest.raises(Rejected, match=r"answered 552 \(SMTPDataError\)") as caught:
            await notifier(settings(port), clock).send(message())
    assert caught.value.for_message
    assert "ops@" not in caught.value.message


async def test_addresses_that_nobody_opened_are_not_connected_to(clock):
    """S-65: the server's address is judged as that of any other receiver."""
    with server() as (box, port):
        closed = EmailNotifier(settings(port), (), clock, 5, texts())
        with pytest.raises(NotifyError) as caught:
            await closed.send(message())
    assert "allowNetworks" in caught.value.message
    assert box.mails == []


async def test_a_silent_server_costs_one_limit(clock):
    """S-66: a server that never greets is left."""
    writers = []
    silent = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    with pytest.raises(NotifyError, match=r"did not answer within 0\.2 s"):
        await notifier(settings(port), clock, limit=0.2).send(message())
    for writer in writers:
        writer.close()
    silent.close()


async def test_nobody_listens(clock):
    """A closed port is an error of delivery."""
    with pytest.raises(NotifyError, match="cannot reach the mail server of email"):
        await notifier(settings(1), clock).send(message())


def test_other_addresses_can_be_written_to(clock):
    """A subscriber's address is written to; what is more than an address is refused."""
    mailer = notifier(settings(25), clock)
    assert isinstance(mailer, Addressable)
    assert isinstance(mailer.to("a@b.example"), EmailNotifier)
    for wrong in ("", "a", "a@b\r\nBcc: c@d", "a@b, c@d", "A <a@b>"):
        with pytest.raises(ConfigError, match="no mail address"):
            mailer.to(wrong)


def test_what_cannot_work_is_found_at_the_start(tmp_path, clock):
    """Missing passwords and unreadable authorities are errors of configuration."""
    with pytest.raises(ConfigError, match="cannot read the password for the mail server"):
        notifier(settings(25, username="a", password_file=str(tmp_path / "none")), clock)
    broken = tmp_path / "ca.pem"
    broken.write_text("nothing")
    with pytest.raises(ConfigError, match=r"certificates in .* cannot be read"):
        notifier(settings(25, tls="tls", ca_file=str(broken)), clock)
