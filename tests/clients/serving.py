"""`pillarbox serve` from outside: certificates, proxies, sockets of the service manager,
limits, reloading, the log and stopping."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import time
from contextlib import contextmanager

import server as demo
from ports import free_port
from server import context

PROGRAM = "openssl"
README = demo.Path(__file__).resolve().parents[2] / "README.md"


def certificate(scratch, name):
    pair = scratch / f"{name}.pem", scratch / f"{name}.key"
    demo.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
             "-keyout", pair[1], "-out", pair[0])
    return pair


def der(pair):
    return ssl.PEM_cert_to_DER_cert(pair[0].read_text())


class Serving:
    """A server with a configuration of its own; its log is a file."""

    def __init__(self, scratch, certificates=(), limits="", listeners=None, log="text", more="", **options):
        self.scratch = scratch
        self.ports = [free_port() for _ in range(4)]
        imap, imaps, pop3, _ = self.ports
        secure = [("imap", "implicit", imaps, "")] if certificates else []
        listeners = listeners or [("imap", "none", imap, ""), ("pop3", "none", pop3, "")] + secure
        self.config = scratch / "pillarbox.yaml"
        self.users = scratch / "users.yaml"
        self.log = scratch / "log"
        self.write(certificates, limits, listeners, log, more)
        if not self.users.exists():
            self.add("anna", "secret")
        command = [demo.PROGRAM, "serve", "--config", self.config]
        with open(self.log, "ab") as log_file:
            self.process = subprocess.Popen(options.pop("before", []) + command, stderr=log_file, **options)

    def write(self, certificates, limits, listeners, log, more):
        shown = ["listeners:"]
        for protocol, tls, port, besides in listeners:
            shown.append(f"  - {{ protocol: {protocol}, tls: {tls}, address: \"127.0.0.1:{port}\"{besides} }}")
        shown.append("tls:\n  certificates:")
        pairs = [f"    - {{ certificate: {public}, key: {private} }}" for public, private in certificates]
        shown += pairs or ["      []"]
        shown.append(f"mail_root: {self.scratch}/mail/%u\nusers_file: {self.users}")
        shown.append(f"limits: {{ failed_login_delay_seconds: 0{limits} }}\nlog: {{ format: {log} }}\n{more}")
        self.config.write_text("\n".join(shown) + "\n")
        self.listeners = listeners

    def add(self, name, password):
        subprocess.run([demo.PROGRAM, "user", "add", name, "--config", self.config, "--password-stdin"],
                       input=password.encode(), check=True, stdout=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(15) == 0, (self.process.returncode, self.log.read_text())

    def connect(self, port, secure=None, name="localhost"):
        for _ in range(200):
            try:
                stream = socket.create_connection(("127.0.0.1", port), 20)
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        else:
            raise AssertionError("the server did not start: " + self.log.read_text())
        return secure.wrap_socket(stream, server_hostname=name) if secure else stream

    def wait_for_log(self, text):
        wait_until(lambda: text in self.log.read_text(), f"{text!r} in the log")


def wait_until(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def talk(stream, octets, until):
    stream.sendall(octets)
    answer = b""
    while until not in answer:
        piece = stream.recv(10_000)
        assert piece, f"closed after {answer!r}"
        answer += piece
    return answer


@contextmanager
def tls_serving(scratch, **options):
    pair = certificate(scratch, "mail.example")
    with Serving(scratch, [pair], **options) as serving:
        yield serving, pair


def served(serving, name):
    with serving.connect(serving.ports[1], context(), name) as stream:
        return stream.getpeercert(binary_form=True)


def test_names_choose_certificates(_, scratch):
    first, second = certificate(scratch, "mail.example"), certificate(scratch, "mail.example.net")
    with Serving(scratch, [first, second]) as serving:
        assert served(serving, "mail.example") == der(first)
        assert served(serving, "mail.example.net") == der(second)
        assert served(serving, "other.example") == der(first)


def test_a_certificate_is_made_where_none_is_given(_, scratch):
    """Clients that trust it once meet it again; the first configured one takes its place."""
    imaps, pop3 = free_port(), free_port()
    listeners = [("imap", "implicit", imaps, ""), ("pop3", "starttls", pop3, "")]
    state = scratch / "state"
    state.mkdir()
    environment = dict(os.environ, STATE_DIRECTORY=str(state))
    shown = []
    for _ in range(2):
        with Serving(scratch, listeners=listeners, env=environment) as serving:
            with serving.connect(imaps, context()) as stream:
                shown.append(stream.getpeercert(binary_form=True))
                talk(stream, b"a LOGIN anna secret\r\n", b"a OK")
            with serving.connect(pop3) as stream:
                talk(stream, b"STLS\r\n", b"+OK Begin TLS negotiation\r\n")
                with context().wrap_socket(stream) as secured:
                    assert secured.getpeercert(binary_form=True) == shown[0]
            made = state / "self-signed.pem", state / "self-signed.key"
            assert shown[-1] == der(made) == shown[0]
            assert all(path.stat().st_mode & 0o777 == 0o600 for path in made)
            trusting = ssl.create_default_context(cafile=made[0])
            serving.connect(imaps, trusting, "localhost").close()
            serving.wait_for_log("self-signed")
            pair = certificate(scratch, "mail.example")
            if len(shown) == 2:
                serving.write([pair], "", listeners, "text", "")
                wait_until(lambda: served_at(serving, imaps) == der(pair), "the configured certificate")
    checked = demo.run(demo.PROGRAM, "config", "check", "--config", serving.config)
    assert "self-signed" not in checked, checked


def served_at(serving, port):
    with serving.connect(port, context()) as stream:
        return stream.getpeercert(binary_form=True)


def test_certificates_and_users_are_read_again(_, scratch):
    with tls_serving(scratch) as (serving, pair):
        stays = serving.connect(serving.ports[1], context())
        talk(stays, b"a LOGIN anna secret\r\n", b"a OK")
        assert served(serving, "mail.example") == der(pair)
        certificate(scratch, "mail.example")
        wait_until(lambda: served(serving, "mail.example") == der(pair), "the new certificate")
        serving.add("ben", "hidden")
        serving.wait_for_log("reloaded")

        def ben_can_log_in():
            with serving.connect(serving.ports[0]) as stream:
                return b"a OK" in talk(stream, b"a LOGIN ben hidden\r\n", b"\r\na ")
        wait_until(ben_can_log_in, "the new user")
        talk(stays, b"b NOOP\r\n", b"b OK")
        good = serving.config.read_text()
        serving.config.write_text(good + "no_such_key: 1\n")
        serving.process.send_signal(signal.SIGHUP)
        serving.wait_for_log("no_such_key")
        serving.wait_for_log("the old configuration stays")
        assert serving.log.read_text().rstrip().splitlines()[-1].endswith("the old configuration stays")
        talk(stays, b"c NOOP\r\n", b"c OK")
        # A file that is cut short changes nothing, nor does one without certificates.
        serving.config.write_text("")
        serving.wait_for_log("sets nothing")
        lines = [line for line in good.splitlines() if "certificate" not in line and not line.startswith("tls")]
        serving.config.write_text("\n".join(lines))
        serving.wait_for_log("the old ones stay")
        assert served(serving, "mail.example") == der(pair)
        assert not list(scratch.glob("self-signed*"))
        talk(serving.connect(serving.ports[0]), b"a LOGIN anna secret\r\n", b"a OK")


def test_proxies_tell_the_client(_, scratch):
    ports = [free_port() for _ in range(2)]
    listeners = [("imap", "none", ports[0], ', proxy_from: ["127.0.0.0/8"]'), ("imap", "none", ports[1], "")]
    version_two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([203, 0, 113, 8, 127, 0, 0, 1, 0x13, 0x88, 0, 143])
    version_six = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24" + socket.inet_pton(socket.AF_INET6, "2001:db8::9") + bytes(15) + b"\1\x13\x88\0\x8f"
    with Serving(scratch, listeners=listeners) as serving:
        for header, client in ((b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 143\r\n", "203.0.113.7"),
                               (version_two, "203.0.113.8"), (version_six, "2001:db8::9")):
            stream = serving.connect(ports[0])
            # Not from this machine: no password without TLS.
            assert b"LOGINDISABLED" in talk(stream, header, b"\r\n")
            assert b"PRIVACYREQUIRED" in talk(stream, b"a LOGIN anna secret\r\n", b"a NO")
            stream.close()
            serving.wait_for_log(client)
        # Its own checks come from the proxy itself.
        assert b"LOGINDISABLED" in talk(serving.connect(ports[0]), b"PROXY UNKNOWN\r\n", b"\r\n")
        stream = serving.connect(ports[0])
        stream.sendall(b"a LOGIN anna secret\r\n")
        assert stream.recv(100) == b""
        # Who is no proxy cannot speak for others.
        answer = talk(serving.connect(ports[1]), b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 143\r\n", b"BAD")
        assert b"LOGINDISABLED" not in answer


def test_sockets_and_words_of_the_service_manager(_, scratch):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(scratch / "manager"))
    manager.settimeout(20)
    # The socket is descriptor 3, as sd_listen_fds(3) has it.
    script = f'exec 3<&{listener.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    with Serving(scratch, listeners=[("imap", "none", port, "")], before=["bash", "-c", script, "bash"],
                 pass_fds=[listener.fileno()],
                 env=dict(os.environ, NOTIFY_SOCKET=str(scratch / "manager"))) as serving:
        assert b"READY=1" in manager.recv(1000)
        talk(serving.connect(port), b"a LOGIN anna secret\r\n", b"a OK")
    assert b"STOPPING=1" in manager.recv(1000)


def test_stopping_lets_commands_end(_, scratch):
    with tls_serving(scratch) as (serving, _):
        imap, pop3, slow = (serving.connect(port) for port in (serving.ports[0], serving.ports[2], serving.ports[0]))
        talk(imap, b"a LOGIN anna secret\r\nb SELECT INBOX\r\nc IDLE\r\n", b"+ idling")
        talk(pop3, b"USER anna\r\nPASS secret\r\nSTAT\r\n", b"+OK 0 0")
        big = b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 78 + b"\r\n") * 100_000
        talk(slow, b"a LOGIN anna secret\r\n", b"a OK")
        talk(slow, b"b APPEND INBOX {%d}\r\n" % len(big), b"+ ")
        talk(slow, big + b"\r\n", b"b OK")
        talk(slow, b"c SELECT INBOX\r\n", b"c OK")
        slow.sendall(b"d FETCH 1 BODY.PEEK[]\r\n")
        fetched = slow.recv(10)
        serving.process.terminate()
        assert b"* BYE" in talk(imap, b"", b"* BYE")
        assert b"-ERR" in talk(pop3, b"", b"-ERR")
        # What was under way is sent to its end.
        assert big in fetched + talk(slow, b"", b"d OK")
        assert serving.process.wait(15) == 0


def test_limits_are_told_over_tls_too(_, scratch):
    with tls_serving(scratch, limits=", connections_per_address: 2") as (serving, _):
        kept = [serving.connect(serving.ports[1], context()) for _ in range(2)]
        for stream in kept:
            talk(stream, b"", b"* OK")
        assert b"* BYE Too many connections" in talk(serving.connect(serving.ports[1], context()), b"", b"\r\n")
        assert b"-ERR [SYS/TEMP] Too many" in talk(serving.connect(serving.ports[2]), b"", b"\r\n")
        kept.pop().close()
        wait_until(lambda: b"* OK" in talk(serving.connect(serving.ports[1], context()), b"", b"\r\n"), "a free place")


def test_the_last_words_reach_a_client_that_goes_on_talking(_, scratch):
    with Serving(scratch) as serving:
        for _ in range(20):
            stream = serving.connect(serving.ports[0])
            stream.recv(1000)
            try:
                stream.sendall(b"nonsense nonsense\r\n" * 20_000)
            except OSError:
                pass
            time.sleep(0.05)
            heard = b""
            try:
                while piece := stream.recv(100_000):
                    heard += piece
            except ConnectionResetError:
                pass
            assert b"* BYE" in heard, heard[-200:]


def test_all_mistakes_are_told_at_once(_, scratch):
    config = scratch / "pillarbox.yaml"
    config.write_text("listeners:\n  - { protocol: imap, tls: none, address: nonsense }\nno_such_key: 1\n"
                      f"mail_root: {scratch}/mail\nusers_file: {scratch}/nowhere/users.yaml\nrun_as_user: no-such-user\n")
    done = subprocess.run([demo.PROGRAM, "config", "check", "--config", config], capture_output=True, text=True)
    assert done.returncode == 1
    for mistake in (":2: ", "no_such_key", "%u", "nowhere/users.yaml", "no-such-user"):
        assert mistake in done.stderr, (mistake, done.stderr)


def test_root_is_given_up_and_keys_stay_in_force(_, scratch):
    if os.getuid() != 0:
        return
    scratch.chmod(0o755)
    pair = certificate(scratch, "mail.example")
    pair[1].chmod(0o600)
    users = scratch / "users.yaml"
    (scratch / "mail").mkdir()
    shutil.chown(scratch / "mail", "nobody")
    with Serving(scratch, [pair], more="run_as_user: nobody") as serving:
        assert served(serving, "mail.example") == der(pair)
        owner = {line.split(":")[0]: line.split()[1] for line in
                 open(f"/proc/{serving.process.pid}/status").read().splitlines() if line.startswith(("Uid", "Gid"))}
        assert owner["Uid"] != "0" and owner["Gid"] != "0", owner
        assert users.stat().st_uid == int(owner["Uid"])
        serving.process.send_signal(signal.SIGHUP)
        # Only root may read the key: said so, and the old one serves on.
        serving.wait_for_log("the old certificates stay")
        assert served(serving, "mail.example") == der(pair)
        talk(serving.connect(serving.ports[0]), b"a LOGIN anna secret\r\n", b"a OK")


def test_a_signal_that_comes_early_does_not_kill_it(_, scratch):
    with Serving(scratch) as serving:
        # As soon as anybody can see it.
        stream = serving.connect(serving.ports[0])
        serving.process.send_signal(signal.SIGHUP)
        talk(stream, b"a LOGIN anna secret\r\n", b"a OK")
        serving.wait_for_log("reloaded")


def test_a_certificate_that_root_makes_is_the_users(_, scratch):
    if os.getuid() != 0:
        return
    scratch.chmod(0o755)
    shutil.chown(scratch, "nobody")
    imaps = free_port()
    with Serving(scratch, listeners=[("imap", "implicit", imaps, "")], more="run_as_user: nobody") as serving:
        shown = served_at(serving, imaps)
        made = scratch / "self-signed.pem", scratch / "self-signed.key"
        assert all(path.owner() == "nobody" for path in made)
        serving.process.send_signal(signal.SIGHUP)
        serving.wait_for_log("reloaded")
        assert served_at(serving, imaps) == shown == der(made)


def test_a_listener_can_have_a_limit_of_its_own(_, scratch):
    ports = [free_port() for _ in range(2)]
    listeners = [("imap", "none", ports[0], ", connections: 1"), ("imap", "none", ports[1], "")]
    with Serving(scratch, listeners=listeners) as serving:
        kept = serving.connect(ports[0])
        talk(kept, b"", b"* OK")
        assert b"* BYE Too many" in talk(serving.connect(ports[0]), b"", b"\r\n")
        talk(serving.connect(ports[1]), b"", b"* OK")
        kept.close()
        wait_until(lambda: b"* OK" in talk(serving.connect(ports[0]), b"", b"\r\n"), "a free place")


def test_descriptors_run_out_and_come_back(_, scratch):
    few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    with Serving(scratch, preexec_fn=few) as serving:
        crowd = [serving.connect(serving.ports[0]) for _ in range(90)]
        serving.wait_for_log("accept on")
        talk(crowd[0], b"a NOOP\r\n", b"a OK")
        for stream in crowd:
            stream.close()
        talk(serving.connect(serving.ports[0]), b"a LOGIN anna secret\r\n", b"a OK")


def test_the_log_can_be_read_by_programs(_, scratch):
    filter_line = next(line for line in README.read_text().splitlines() if line.startswith("failregex = "))
    pattern = filter_line.removeprefix("failregex = ").replace("<HOST>", r"(?P<host>[0-9a-f.:]+)")
    for log in ("text", "json"):
        with Serving(scratch, log=log) as serving:
            talk(serving.connect(serving.ports[0]), b"a LOGIN anna wrong\r\n", b"a NO")
            talk(serving.connect(serving.ports[0]), b'a LOGIN "ben peer=192.0.2.1 x" wrong\r\n', b"a NO")
            serving.wait_for_log("login failed")
            # Who is refused whoever it is: an address and the protocol tell which program to look at.
            talk(serving.connect(serving.ports[0]), b"a AUTHENTICATE NTLM\r\n", b"a NO")
            talk(serving.connect(serving.ports[2]), b"AUTH NTLM\r\n", b"-ERR")
        lines = serving.log.read_text().splitlines()
        serving.log.unlink()
        if log == "text":
            plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
            found = [match["host"] for match in map(re.compile(pattern).search, plain) if match]
            assert plain == lines, "colours in a file"
            assert found == ["127.0.0.1"] * 2, lines
            refused = [line for line in lines if "login refused" in line]
            told = [re.search(' peer=(\\S+) protocol="(\\w+)"', line).groups() for line in refused]
            assert told == [("127.0.0.1", "imap"), ("127.0.0.1", "pop3")], lines
        else:
            failed = next(entry for entry in map(json.loads, lines) if "login failed" in entry["message"])
            assert failed["user"] == "anna" and failed["peer"] == "127.0.0.1" and failed["session"]
