"""A private Dovecot and Pillarbox over one and the same Maildir and users file.
The system's own Dovecot is left alone."""

import os
import pwd
import signal
import socket
import subprocess
import time

from ports import free_port

PROGRAM = None
MAIL_USER = "nobody"
LISTESCAPE = "/usr/lib/dovecot/modules/lib20_listescape_plugin.so"


def wait_for(process, log, *ports):
    deadline = time.monotonic() + 30
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, f"the server ended:\n{log.read_text()[-3000:]}"
                assert time.monotonic() < deadline, f"nobody listens on {port}:\n{log.read_text()[-3000:]}"
                time.sleep(0.02)


class Site:
    """One user's mail and how names are shown: what stays when the server changes."""

    def __init__(self, root, delimiter="/", prefix="", dovecot="", plugins=""):
        self.root, self.delimiter, self.prefix = root, delimiter, prefix
        self.dovecot, self.plugins = dovecot, plugins
        self.maildir = root / "mail/anna/Maildir"
        self.users = root / "users"
        self.maildir.mkdir(parents=True)
        self.users.write_text("anna:{PLAIN}secret::::::\n")
        self.give_away(root / "mail")

    def give_away(self, path):
        """To the user both servers run as."""
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", f"{MAIL_USER}:", str(path)], check=True)

    def name(self, *levels):
        """A mailbox's name as a client writes it."""
        text = self.prefix + self.delimiter.join(modified_utf7(level) for level in levels)
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def modified_utf7(text):
    """RFC 3501 section 5.1.3."""
    out, pending = "", ""
    for character in text + "\0":
        if " " <= character <= "~" or character == "\0":
            if pending:
                encoded = pending.encode("utf-7").decode().removeprefix("+").removesuffix("-")
                out, pending = out + f"&{encoded.replace('/', ',')}-", ""
            out += {"&": "&-", "\0": ""}.get(character, character)
        else:
            pending += character
    return out


class Running:
    """A server that ends with its `with` block; its log is shown when that fails."""

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        text = self.log.read_text(errors="replace")
        if kind:
            print(f"--- log of {type(self).__name__}:\n{text[-3000:]}---")
            return
        bad = [line for line in text.splitlines() if self.complaint(line)]
        assert not bad, f"{type(self).__name__} complains: {bad[:5]}"


class Dovecot(Running):
    def __init__(self, site):
        self.imap, self.pop3 = free_port(), free_port()
        base = site.root / "dovecot"
        base.mkdir(exist_ok=True)
        account = pwd.getpwnam(MAIL_USER)
        self.log = base / "log"
        self.log.write_text("")
        (base / "dovecot.conf").write_text(f"""
base_dir = {base}/run
state_dir = {base}/state
log_path = {self.log}
protocols = imap pop3
ssl = no
disable_plaintext_auth = no
listen = 127.0.0.1
mail_location = maildir:{site.maildir}
mail_plugins = {site.plugins}
mail_uid = {account.pw_uid}
mail_gid = {account.pw_gid}
first_valid_uid = 1
first_valid_gid = 1
auth_cache_size = 1M
{site.dovecot}
namespace inbox {{
  inbox = yes
  separator = {site.delimiter}
  prefix = {site.prefix}
}}
passdb {{
  driver = passwd-file
  args = {site.users}
}}
userdb {{
  driver = static
  args = home={site.maildir.parent}
}}
service imap-login {{
  inet_listener imap {{
    port = {self.imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {self.pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service stats {{
  chroot =
}}
""")
        self.process = subprocess.Popen(["dovecot", "-F", "-c", str(base / "dovecot.conf")], stdout=subprocess.DEVNULL)
        wait_for(self.process, self.log, self.imap, self.pop3)

    def complaint(self, line):
        return "Error:" in line or "Panic:" in line or "orrupt" in line


class Pillarbox(Running):
    """`pillarbox serve` with the users file as Dovecot has it."""

    def __init__(self, site):
        self.imap, self.pop3 = free_port(), free_port()
        base = site.root / "pillarbox"
        base.mkdir(exist_ok=True)
        become = f"run_as_user: {MAIL_USER}" if os.getuid() == 0 else ""
        (base / "pillarbox.yaml").write_text(f"""
listeners:
  - {{ protocol: imap, tls: none, address: "127.0.0.1:{self.imap}" }}
  - {{ protocol: pop3, tls: none, address: "127.0.0.1:{self.pop3}" }}
mail_root: {site.root}/mail/%u/Maildir
# Other servers send headers that are not ASCII to POP3 clients as they are stored.
without_capabilities: ["POP3:UTF8"]
users_file: {site.users}
layout: {{ delimiter: "{site.delimiter}", prefix: "{site.prefix}" }}
{become}
""")
        site.give_away(base)
        self.log = base / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", "--config", str(base / "pillarbox.yaml")], stderr=log,
                stdout=subprocess.DEVNULL, env=dict(os.environ, PILLARBOX_LOG="warn", NO_COLOR="1"))
        wait_for(self.process, self.log, self.imap, self.pop3)

    def complaint(self, line):
        return " WARN " in line or " ERROR " in line
