"""neomutt over TLS: what mutt does."""

from mutt import Mutt, reads_flags_saves_and_deletes, searches_on_the_server, waits_for_mail

PROGRAM = "neomutt"
CLIENT = "neomutt"
VERSION = [PROGRAM, "-v"]


def test_reads_flags_saves_and_deletes(server, scratch):
    reads_flags_saves_and_deletes(Mutt(PROGRAM, server, scratch))


def test_searches_on_the_server(server, scratch):
    searches_on_the_server(Mutt(PROGRAM, server, scratch))


def test_waits_for_mail(server, scratch):
    waits_for_mail(Mutt(PROGRAM, server, scratch, "set imap_idle = yes"))
