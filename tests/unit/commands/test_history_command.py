"""`mha history`, `mha report`, `mha status` and `mha topology` of what cannot be read, or may not be replaced."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from prefect_mha.commands import mha
from prefect_mha.commands.verbs import look
from prefect_mha.commands.verbs.history import newest_line
from prefect_mha.config import ConfigError
from prefect_mha.replication.memory.journal import BEGIN, END, Journal
from prefect_mha.replication.reporting.history import journals

OLD = "10.0.0.1:3306"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "app1.cnf"
    password = "opensesame7"
    servers = "".join(f"[server{n}]\nhostname=10.0.0.{n}\n" for n in (1, 2))
    common = f"[server default]\nuser=mha\npassword={password}\nrepl_user=repl\nrepl_password=replreplrepl\n"
    path.write_text(f"{common}manager_workdir={tmp_path}\n{servers}")
    path.chmod(0o600)
    journal = Journal.new(tmp_path, "app1")
    journal.record(BEGIN, "began", OLD, by="root@seat")
    journal.record(END, "ended", OLD, exit_code=1, summary=f"{password} was said")
    journal.close()
    return path


def ran(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mha", *map(str, words)])
    try:
        return mha.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0


def test_what_the_log_hides_is_hidden(
    conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["report", "--last"], ["report", "--last", "--output=json"], ["history"], ["history", "--newest=1"]):
        assert ran(monkeypatch, *words, "--conf", conf) == 0
        told = capsys.readouterr().out
        assert "opensesame7" not in told
        assert "xxx was said" in told or words[0] == "history"


def test_no_file_that_is_there_is_replaced(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for path in (precious, link, tmp_path, Path()):
        assert ran(monkeypatch, "report", "--last", "--conf", conf, "--html", path) == 2
        assert "--html" in capsys.readouterr().err
    assert precious.read_text() == "mine"
    assert ran(monkeypatch, "report", "--last", "--conf", conf, "--html", tmp_path / "new.html", "--output=json") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "new.html" in told.err


def test_one_that_is_not_there_is_no_word_on_standard_output(
    conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(monkeypatch, "report", "99", "--conf", conf, "--output=json") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "is none of app1" in told.err


def test_no_journal_ends_the_status(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*_: object) -> None:
        raise TypeError("odd")

    assert len(newest_line(conf, conf.with_name("none"))) == 1
    monkeypatch.setattr(journals, "newest", odd)
    assert newest_line(conf, conf.with_name("none")) == ["Last: the journals cannot be read: TypeError: odd"]


def test_one_broken_file_hides_no_other_cluster(
    conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def show(path: Path, *_: object) -> bool:
        if path != conf:
            raise ConfigError("no such parameter", file=path)
        print(json.dumps("app1"))
        return False

    monkeypatch.setattr(look, "_show_topology", show)
    assert ran(monkeypatch, "topology", "--conf", conf.with_name("broken.cnf"), "--conf", conf) == 2
    told = capsys.readouterr()
    assert told.out == '"app1"\n'
    assert "broken.cnf" in told.err
