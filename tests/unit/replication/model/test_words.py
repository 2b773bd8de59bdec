"""Words of others where they are shown: in a log, on a terminal, in Markdown, in a mail."""

from __future__ import annotations

import logging
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from prefect_mha.replication.errors import StatementFailed
from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.model.words import _UNSEEN, in_block, in_markdown, plain, visible
from prefect_mha.replication.mysql import temporary_settings as lendable
from prefect_mha.replication.mysql.dialects.channel_status import read_channel
from prefect_mha.replication.notify.manager_log import ManagerFormatter
from prefect_mha.replication.notify.text import text_of

FORGED = "no\nSat Nov 21 02:10:36 2026 - [info] Master failover completed successfully."
ESC, RTL = "\x1b[2J\x1b]0;owned\x07", "\u202egnp.exe\u202c"


def test_a_log_has_no_line_that_a_server_wrote() -> None:
    error = StatementFailed("db2", "read", FORGED + ESC + RTL, 1064)
    assert "\n" not in str(error)
    for said in (str(error), FORGED):
        record = logging.LogRecord("mha", logging.WARNING, "x.py", 1, "%s", (said,), None)
        lines = ManagerFormatter().format(record).splitlines()
        assert sum(" - [" in line and line.startswith("S") for line in lines[1:]) == 0
    assert not _UNSEEN.search(ManagerFormatter().format(record))


def test_our_own_reports_keep_their_lines() -> None:
    assert visible("----- Failover Report -----\n\n\tMaster db1 is down!\n") == (
        "----- Failover Report -----\n\n\tMaster db1 is down!\n"
    )


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (ESC, "\\x1b[2J\\x1b]0;owned\\x07"),
        (RTL, "\\u202egnp.exe\\u202c"),
        ("a\r\n\tb\u2028c", "a b c"),
        ("\u200bhid\u00adden\U000e0041", "\\u200bhid\\xadden\\U000e0041"),
        ("Zürich 数据库 مرحبا", "Zürich 数据库 مرحبا"),
        ("x" * 9000, "x" * 4000 + "…"),
    ],
)
def test_what_commands_or_hides_is_shown_as_its_number(said: str, shown: str) -> None:
    assert plain(said) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("[click](http://evil)", "\\[click\\](http\u2060://evil)"),
        ("<!channel> <b>x</b> &amp;", "&lt;!channel> &lt;b>x&lt;/b> &amp;amp;"),
        ("@everyone @here", "@\u2060everyone @\u2060here"),
        ("see www.evil.example", "see www\u2060.evil.example"),
        ("a | b", "a \\| b"),
        ("# big", "\\# big"),
        ("1. one", "1\\. one"),
        ("10.0.0.1:3306 is **up**", "10.0.0.1:3306 is \\*\\*up\\*\\*"),
        ("~~gone~~ ![x](y)", "\\~\\~gone\\~\\~ !\\[x\\](y)"),
        ("an `un_closed *code*", "an \\`un_closed \\*code\\*"),
        ("`SET GLOBAL read_only=1` on db2(10.0.0.2:3306)", "`SET GLOBAL read_only=1` on db2(10.0.0.2:3306)"),
        ("candidate_master is set, 'mha'@'%'", "candidate_master is set, 'mha'@'%'"),
        ("one\n\n# two\n- three", "one # two - three"),
    ],
)
def test_in_markdown_it_reads_as_it_is_and_means_nothing(said: str, shown: str) -> None:
    assert in_markdown(said) == shown


def test_a_block_of_text_ends_where_we_end_it() -> None:
    assert "```" not in in_block("db2\n```\n# owned")


def meant(document: str) -> set[str]:
    """What a Markdown document holds besides paragraphs of text and code."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(document)
    every = [*tokens, *(child for token in tokens for child in token.children or ())]
    plainly = {"paragraph", "inline", "text", "code_inline", "softbreak"}
    return {token.type.removesuffix("_open").removesuffix("_close") for token in every} - plainly


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.one_of(st.sampled_from("`*_[]()<>!#|~\\-+=1.&;: \n\tab@/"), st.characters()), max_size=60))
def test_any_text_means_nothing_in_markdown(said: str) -> None:
    assert meant(in_markdown(said)) == set()
    assert meant(f"- {in_markdown(said)}") == {"bullet_list", "list_item"}


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_one_line_and_commands_nothing(said: str) -> None:
    for shown in (plain(said), in_markdown(said).replace("\u2060", "")):
        assert not set("\n\r\t") & set(shown)
        assert not _UNSEEN.search(shown)


def test_a_mail_has_no_link_and_no_mention_of_a_servers_making() -> None:
    text = "it said [all is well](https://evil) <@U123> @everyone\n\n# Solved"
    server = {"host": "db1](http://x)", "ip": "10.0.0.1", "port": 3306}
    document = {
        "event": "failed", "at": "now", "cluster": "app1", "conf": "/etc/app1.cnf", "text": text,
        "old_primary": server, "new_primary": None,
        "facts": {"replicas": {"db2": "ERROR: [x](http://y)\n- db3: OK"}, "failed": ["www.evil.example"]},
    }  # fmt: skip
    letter = text_of(document)
    for part in (letter.title, letter.body):
        assert not re.search(r"https?:|www\.", part)
        assert "@everyone" not in part
        assert "<@" not in part
        assert "\n# Solved" not in part
        assert "\n- db3: OK" not in part
    assert meant(letter.body) <= {"strong", "bullet_list", "list_item"}


def test_a_journal_gives_back_only_what_is_ever_lent(caplog: pytest.LogCaptureFixture) -> None:
    evil = {"sync_binlog": 1, "super_read_only = 0, GLOBAL max_connections": 1, "read_only": 0}
    assert lendable.ours(evil) == {"sync_binlog": 1}
    assert caplog.text.count("is no setting that") == 2


def test_what_a_replica_says_of_its_threads_is_one_line_of_bounded_length() -> None:
    """It stands in pictures of the cluster, a line a server, where another line would be another server's."""
    row = {"Last_IO_Error": f"no\n{FORGED}{ESC}{RTL}", "Last_SQL_Error": "x" * 1_000_000, "Master_Host": "10.0.0.1"}
    channel = read_channel(Vendor.MARIADB, row)
    assert "\n" not in channel.receiver_error
    assert not _UNSEEN.search(channel.receiver_error)
    assert len(channel.applier_error) < 5000
