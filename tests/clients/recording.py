"""What a client sends: between it and the server, a relay that notes the commands.

A command is noted in capitals, without its tag, each quoted string as "" and each literal
as {}: what it shows is which parts of the protocol are used, not what was written in them.
Over TLS the relay has the server's own certificate; what follows COMPRESS it inflates for
itself, and what follows STARTTLS it passes on unread.
"""

import asyncio
import re
import ssl
import threading
import zlib

BLOCK = 65_536
LITERAL = re.compile(rb"(~?)\{(\d+)([+-]?)\}\r?\n$")
SMALL_LITERAL = 4_096
QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')

# What in a command shows that a capability is used (README has the list of them).
IMAP_SIGNS = [(name, re.compile(sign)) for name, sign in {
    "SASL-IR": r"AUTHENTICATE \S+ \S",
    "ID": r"ID [(N]",
    "ENABLE": r"ENABLE ",
    "IDLE": r"IDLE$",
    "LANGUAGE": r"LANGUAGE\b",
    "STARTTLS": r"STARTTLS$",
    "NAMESPACE": r"NAMESPACE$",
    "UNSELECT": r"UNSELECT$",
    "UIDPLUS": r"UID EXPUNGE ",
    "MULTIAPPEND": r"APPEND \S+ .*\{\}.*\{\}",
    "LIST-EXTENDED": r"LIST \(|LIST \S+ (\S+|\(.*?\)) RETURN ",
    "LIST-STATUS": r"LIST .* RETURN \(.*\bSTATUS \(",
    "SPECIAL-USE": r"LIST .*\bSPECIAL-USE\b",
    "CREATE-SPECIAL-USE": r"CREATE \S+ \(USE ",
    "MOVE": r"(UID )?MOVE ",
    "CONDSTORE": r"(SELECT|EXAMINE) .*\(CONDSTORE\)|(UID )?FETCH .*\b(MODSEQ|CHANGEDSINCE)\b"
                 r"|(UID )?STORE .*\bUNCHANGEDSINCE\b|STATUS .*\bHIGHESTMODSEQ\b"
                 r"|(UID )?SEARCH .*\bMODSEQ\b|ENABLE .*\bCONDSTORE\b",
    "QRESYNC": r"(SELECT|EXAMINE) .*\(QRESYNC |UID FETCH .*\bVANISHED\b|ENABLE .*\bQRESYNC\b",
    "ESEARCH": r"(UID )?SEARCH RETURN ",
    "SEARCHRES": r"(UID )?SEARCH RETURN \(.*\bSAVE\b",
    "PARTIAL": r"(UID )?(SEARCH|SORT) RETURN \(.*\bPARTIAL\b|(UID )?FETCH .*\(PARTIAL ",
    "WITHIN": r"(UID )?SEARCH .*\b(YOUNGER|OLDER) \d",
    "SORT": r"(UID )?SORT ",
    "SORT=DISPLAY": r"(UID )?SORT .*\bDISPLAY",
    "ESORT": r"(UID )?SORT RETURN ",
    "SEARCH=FUZZY": r"(UID )?(SEARCH|SORT|THREAD) .*\bFUZZY\b",
    "MULTISEARCH": r"ESEARCH ",
    "I18NLEVEL=2": r"COMPARATOR\b",
    "STATUS=SIZE": r"STATUS .*\bSIZE\b|LIST .*\bSTATUS \(.*\bSIZE\b",
    "UTF8=ACCEPT": r"ENABLE .*\bUTF8=ACCEPT\b",
    "UIDONLY": r"ENABLE .*\bUIDONLY\b",
    "METADATA": r"[GS]ETMETADATA ",
    "COMPRESS=DEFLATE": r"COMPRESS DEFLATE$",
    "UNAUTHENTICATE": r"UNAUTHENTICATE$",
    "BINARY": r"(UID )?FETCH .*\bBINARY\b|APPEND .*~\{\}",
    "CATENATE": r"APPEND .*\bCATENATE \(",
    "REPLACE": r"(UID )?REPLACE ",
    "PREVIEW": r"(UID )?FETCH .*\bPREVIEW\b",
    "SAVEDATE": r"(UID )?FETCH .*\bSAVEDATE\b|(UID )?SEARCH .*\bSAVED",
    "OBJECTID": r"(UID )?FETCH .*\b(EMAILID|THREADID)\b|STATUS .*\bMAILBOXID\b",
}.items()]
POP3_SIGNS = [("POP3:" + name, re.compile(sign)) for name, sign in {
    "TOP": r"TOP ",
    "UIDL": r"UIDL\b",
    "STLS": r"STLS$",
    "USER": r"USER ",
    "UTF8": r"UTF8\b",
    "LANG": r"LANG\b",
}.items()]


class ImapReader:
    """Reads the commands in what an IMAP client sends."""

    def __init__(self, note):
        self.note = note
        self.rest, self.command = b"", b""
        self.literal_octets = 0
        self.inflating = None
        self.secret = False

    def take(self, octets):
        if self.secret:
            return
        if self.inflating:
            octets = self.inflating.decompress(octets)
        self.rest += octets
        while self.rest:
            passed = min(self.literal_octets, len(self.rest))
            self.rest, self.literal_octets = self.rest[passed:], self.literal_octets - passed
            end = self.rest.find(b"\n") + 1
            if self.literal_octets or not end:
                return
            line, self.rest = self.rest[:end], self.rest[end:]
            literal = LITERAL.search(line)
            if literal:
                self.literal_octets = int(literal[2])
                if literal[3]:
                    self.note("LITERAL-" if self.literal_octets <= SMALL_LITERAL else "LITERAL+")
                self.command += line[:literal.start()] + literal[1] + b"{}"
                continue
            self.end(self.command + line)
            self.command = b""

    def end(self, line):
        words = QUOTED.sub(b'""', line.strip()).decode("ascii", "replace").upper().split(" ", 1)
        # A line of one word is none of a command: DONE, or what AUTHENTICATE asks for.
        if len(words) == 1:
            return
        command = words[1]
        self.note(*(name for name, sign in IMAP_SIGNS if sign.match(command)), command=command)
        word, _, argument = command.partition(" ")
        if word == "AUTHENTICATE":
            self.note("AUTH=" + argument.split(" ")[0])
        if thread := re.match(r"(?:UID )?THREAD (\S+)", command):
            self.note("THREAD=" + thread[1])
        # The server takes both where it announces them, and then the client goes on so.
        if word == "COMPRESS":
            self.inflating = zlib.decompressobj(-zlib.MAX_WBITS)
        self.secret = word == "STARTTLS"


class Pop3Reader:
    """Reads the commands in what a POP3 client sends."""

    def __init__(self, note):
        self.note = note
        self.rest = b""
        self.secret = False

    def take(self, octets):
        if self.secret:
            return
        *lines, self.rest = (self.rest + octets).split(b"\n")
        if len(lines) > 1:
            self.note("POP3:PIPELINING")
        for line in lines:
            command = line.strip().decode("ascii", "replace").upper()
            self.note(*(name for name, sign in POP3_SIGNS if sign.match(command)), command=command)
            if command.startswith("AUTH "):
                self.note("POP3:SASL " + command.split(" ")[1])
            self.secret = command == "STLS"


class Recorder:
    """Relays to the ports of a server; notes which capabilities clients used."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key
        self.used, self.commands, self.mistakes = set(), [], []
        self.loop = asyncio.new_event_loop()
        self.tasks = set()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def relay(self, port, reader, secure):
        """A port of its own that leads to the server's."""
        return asyncio.run_coroutine_threadsafe(self.listen(port, reader, secure), self.loop).result(10)

    def close(self):
        async def end():
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        assert not self.mistakes, self.mistakes

    def note(self, *names, command=None):
        self.used.update(names)
        if command:
            self.commands.append(command)

    def sent(self, pattern):
        """How many of the commands match."""
        return sum(1 for command in list(self.commands) if re.match(pattern, command))

    async def listen(self, port, reader, secure):
        here = there = None
        if secure:
            here = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            here.load_cert_chain(self.certificate, self.key)
            there = ssl.create_default_context(cafile=self.certificate)

        async def meet(from_client, to_client):
            self.tasks.add(asyncio.current_task())
            try:
                from_server, to_server = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=there, server_hostname="localhost" if secure else None)
                ends = await asyncio.gather(
                    pass_on(from_client, to_server, reader(self.note).take),
                    pass_on(from_server, to_client, lambda octets: None), return_exceptions=True)
                self.mistakes += [end for end in ends if end and not isinstance(end, OSError)]
            except (OSError, asyncio.CancelledError):
                # The server, or the test, ended first.
                pass
            finally:
                to_client.close()
                self.tasks.discard(asyncio.current_task())

        server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=here)
        return server.sockets[0].getsockname()[1]


async def pass_on(source, target, take):
    try:
        while octets := await source.read(BLOCK):
            take(octets)
            target.write(octets)
            await target.drain()
    finally:
        # Over TLS there are no halves of a connection.
        target.close()
