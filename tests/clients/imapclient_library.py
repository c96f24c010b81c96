"""IMAPClient, a library for Python, over TLS."""

from server import context, login

PROGRAM = None
LIBRARY = "imapclient"
CLIENT = "IMAPClient"


def version():
    import imapclient
    return imapclient.__version__


def connect(server):
    import imapclient
    client = imapclient.IMAPClient("localhost", server.imaps, ssl_context=context(), timeout=20)
    client.login("anna", "secret")
    return client


def test_mailboxes(server, _):
    client = connect(server)
    assert b"Pillarbox" in client.id_({"name": "tests"})[0]
    assert client.namespace().personal == (("", "/"),)
    for name in ("Kept", "Entwürfe", "a&b"):
        client.create_folder(name)
    assert {name for _, _, name in client.list_folders()} >= {"INBOX", "Kept", "Entwürfe", "a&b"}
    assert client.find_special_folder(b"\\Sent") == "Sent"
    client.rename_folder("Kept", "Archive/2026")
    client.subscribe_folder("Archive/2026")
    assert "Archive/2026" in [name for _, _, name in client.list_sub_folders()]
    client.delete_folder("a&b")
    client.logout()


def test_messages(server, _):
    server.deliver(6)
    client = connect(server)
    assert client.has_capability("CONDSTORE")
    client.select_folder("INBOX")
    first = client.folder_status("INBOX", ["HIGHESTMODSEQ"])[b"HIGHESTMODSEQ"]
    assert client.search(["SUBJECT", "delivered 3"]) == [3]
    assert client.search(["BODY", "Text 4"]) == [4]
    assert client.sort(["REVERSE", "SUBJECT"]) == [6, 5, 4, 3, 2, 1]
    assert client.thread("REFERENCES") == tuple((uid,) for uid in range(1, 7))
    assert client.thread("ORDEREDSUBJECT") == tuple((uid,) for uid in range(1, 7))
    envelope = client.fetch([2], ["ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE", "INTERNALDATE"])[2][b"ENVELOPE"]
    assert envelope.subject == b"Delivered 2", envelope
    # Another session flags; the difference is what is asked for (CONDSTORE).
    beside = login(server)
    beside.select("INBOX")
    beside.uid("STORE", "5", "+FLAGS", "(\\Flagged)")
    changed = client.fetch(range(1, 7), ["FLAGS"], [f"CHANGEDSINCE {first}"])
    assert list(changed) == [5] and b"\\Flagged" in changed[5][b"FLAGS"], changed
    assert client.search(["MODSEQ", str(first + 1)])[:] == [5]
    client.move([5], "Archive")
    client.add_flags([6], [b"\\Deleted", "Work"])
    client.uid_expunge([6])
    assert client.search() == [1, 2, 3, 4]
    client.append("Archive", b"Subject: x\r\n\r\ny\r\n", [b"\\Seen"])
    client.multiappend("Archive", [b"Subject: one\r\n\r\n1\r\n", b"Subject: two\r\n\r\n2\r\n"])
    assert client.folder_status("Archive", ["MESSAGES"]) == {b"MESSAGES": 4}
    client.unselect_folder()
    beside.logout()
    client.logout()


def test_idle(server, _):
    client = connect(server)
    client.select_folder("INBOX")
    client.idle()
    server.deliver(1)
    told = []
    while (1, b"EXISTS") not in told:
        answers = client.idle_check(timeout=10)
        assert answers, told
        told += answers
    client.idle_done()
    client.logout()
