"""Who is told what in which words, and that a URL stays where it is."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import apprise
import pytest
from pydantic import SecretStr

from prefect_mha.config import load_cluster
from prefect_mha.config.forms.event_names import EVENTS, URL_KEYS
from prefect_mha.config.notify import parts_of, urls_in
from prefect_mha.replication.memory.spool import Outbox
from prefect_mha.replication.notify import worker as notify_sender
from prefect_mha.replication.notify.dispatcher import Dispatcher, letters
from prefect_mha.replication.notify.events import EventHooks, sample
from prefect_mha.replication.notify.text import TITLES, text_of, values_of
from tests.lab.services import Webhook
from tests.unit.replication.address.build import config

TOKEN = "T0ken-of-the-hook"


def test_the_events_are_one_list():
    assert set(EVENTS) == set(TITLES)
    assert len(URL_KEYS) == len(EVENTS) + 1


@pytest.mark.parametrize(
    ("given", "event", "told"),
    [
        ({"notify": "json://a/ json://b/"}, "dead", ("json://a/", "json://b/")),
        ({"notify": "json://a/"}, "fenced", ()),
        ({"notify": "json://a/", "notify_events": ("fenced",)}, "fenced", ("json://a/",)),
        ({"notify": "json://a/", "notify_dead": "json://b/"}, "dead", ("json://b/",)),
        ({"notify": "json://a/", "notify_dead": "none"}, "dead", ()),
        ({"notify_dead": "json://b/"}, "started", ()),
    ],
)
def test_who_is_told(given, event, told):
    secret = {key: SecretStr(value) if isinstance(value, str) else value for key, value in given.items()}
    assert config().model_copy(update=secret).notify_urls(event) == told


def test_a_file_holds_urls_line_by_line_with_comments():
    assert urls_in("# on call\njson://a/ json://b/\n\n  # json://c/\nslack://x/y/z\n") == (
        "json://a/",
        "json://b/",
        "slack://x/y/z",
    )


@pytest.mark.parametrize("key", ["notify", "notify_dead"])
def test_what_is_no_url_is_an_error_that_does_not_show_it(tmp_path, key):
    (tmp_path / "urls").write_text(f"json://ok/\n{TOKEN}\n")
    (tmp_path / "a.cnf").write_text(f"[server default]\n{key}=file:{tmp_path}/urls\n[server1]\nhostname=10.0.0.1\n")
    with pytest.raises(Exception, match="no URL in place 2") as wrong:
        load_cluster(tmp_path / "a.cnf", None)
    assert TOKEN not in str(wrong.value)
    assert load_cluster(tmp_path / "a.cnf", None, secrets=False).notify_secrets() == ()


def test_a_url_shows_in_no_form_of_the_configuration(tmp_path):
    (tmp_path / "a.toml").write_text(f'notify=["json://h/{TOKEN}", "json://i/"]\n[server.1]\nhostname="10.0.0.1"\n')
    loaded = load_cluster(tmp_path / "a.toml", None)
    assert loaded.notify_urls("dead") == (f"json://h/{TOKEN}", "json://i/")
    for text in (repr(loaded), str(loaded), loaded.model_dump_json()):
        assert TOKEN not in text


def test_the_parts_of_a_url_that_may_be_secrets_are_known():
    parts = parts_of("mailto://user:pass-word@mail.example.org:25/path-secret?from=a@b.c&key=0123456789")
    assert {"pass-word", "path-secret", "0123456789"} <= set(parts)
    assert "mail.example.org:25" not in parts_of("mailto://user:pass-word@mail.example.org:25")
    assert "TOKEN_A_1234" in parts_of("slack://TOKEN_A_1234")


def test_every_event_has_a_text_that_says_it():
    for event in EVENTS:
        text = text_of(sample(config(), event))
        assert text.title.startswith("app1: ")
        assert "$" not in text.title + text.body
        assert "this is a test" in text.body.lower()
        assert text.problem == ""
        assert text.report.startswith("# Test")


def test_what_a_refusal_says():
    document = {**sample(config(), "refused"), "text": "nobody may be promoted"}
    document["facts"] = {"refusal": "no-candidate", "remedy": "Fix one of them.", "exit_code": 1}
    text = text_of(document)
    assert (text.title, text.kind) == ("app1: failover REFUSED", "failure")
    assert text.body.startswith("**Nobody may be promoted.**\n\nRefused: `no-candidate`. Fix one of them.")


def test_own_texts_and_what_is_wrong_with_them(tmp_path):
    document = sample(config(), "dead")
    ours = text_of(document)
    assert text_of(document, tmp_path) == ours
    (tmp_path / "default.md").write_text("only ${old_primary}")
    assert text_of(document, tmp_path).title == ours.title
    assert text_of(document, tmp_path).body == "only db1 (10.0.0.1:3306)"
    (tmp_path / "dead.md").write_text("# ${cluster} is down\n\nSee ${conf} for $$5.\n")
    own = text_of(document, tmp_path)
    assert (own.title, own.body) == ("app1 is down", f"See {values_of(document)['conf']} for $5.")
    (tmp_path / "dead.md").write_text("${nobody_knows}")
    broken = text_of(document, tmp_path)
    assert (broken.title, broken.body) == (ours.title, ours.body)
    assert "it knows no 'nobody_knows'" in broken.problem


def test_a_letter_names_its_service_without_the_url():
    told = config().model_copy(update={"notify": SecretStr(f"json://a/{TOKEN} slack://{TOKEN}")})
    assert [letter.where for letter in letters(told, sample(told, "dead"))] == [
        "json, URL 1 of notify",
        "slack, URL 2 of notify",
    ]
    own = told.model_copy(update={"notify_dead": SecretStr("xml://b/")})
    assert [letter.where for letter in letters(own, sample(own, "dead"))] == ["xml, URL 1 of notify_dead"]


@pytest.mark.parametrize("url", [f"json://127.0.0.1:9/{TOKEN}", f"nothing://{TOKEN}", f"slack://{TOKEN}"])
def test_why_it_failed_does_not_show_the_url(url):
    told = config().model_copy(update={"notify": SecretStr(url), "notify_timeout": 2.0})
    (letter,) = letters(told, sample(told, "dead"))
    why = notify_sender.attempt(letter)
    assert why
    assert TOKEN not in why


LIBRARIES = {
    "mhahangs": lambda: threading.Event().wait(),
    "mhaends": lambda: os._exit(3),
    "mhacrashes": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "mharaises": lambda: [][0],
    "mhaprints": lambda: os.write(1, b'{"id": "another"}\n') > 0,
}


@pytest.mark.parametrize(
    ("library", "why"),
    [
        ("mhahangs", "its library had not ended after 1 s"),
        ("mhaends", "its library ended the process that sent it (3)"),
        ("mhacrashes", "its library ended the process that sent it (-9)"),
        ("mharaises", "An exception occured sending"),
        ("mhaprints", ""),
    ],
)
def test_a_library_that_hangs_or_crashes_costs_its_own_attempt(library, why, monkeypatch, capfd):
    act = LIBRARIES[library]
    apprise.decorators.notify(on=library)(lambda *_args, **_named: act())
    monkeypatch.setattr(notify_sender, "longest", lambda _timeout: 1.0 if library == "mhahangs" else 30.0)
    try:
        told = config().model_copy(update={"notify": SecretStr(f"{library}://{TOKEN}")})
        (letter,) = letters(told, sample(told, "dead"))
        assert why in notify_sender.attempt_apart(letter)
        assert bool(notify_sender.attempt_apart(letter)) == bool(why), "each has a process of its own"
    finally:
        apprise.plugins.N_MGR.remove(library)
    assert "another" not in capfd.readouterr().out


def test_what_a_library_keeps_is_gone_with_its_attempt():
    kept = []
    apprise.decorators.notify(on="mhaleaks")(lambda *_args, **_named: kept.append(bytes(50_000_000)) is None)
    try:
        told = config().model_copy(update={"notify": SecretStr("mhaleaks://a")})
        (letter,) = letters(told, sample(told, "dead"))
        assert notify_sender.attempt_apart(letter) == ""
    finally:
        apprise.plugins.N_MGR.remove("mhaleaks")
    assert kept == []


def test_a_full_disk_keeps_nobody_from_being_told_of_it(monkeypatch):
    def full(**_given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(notify_sender.tempfile, "TemporaryDirectory", full)
    with Webhook() as hook:
        told = config().model_copy(update={"notify": SecretStr(f"json://127.0.0.1:{hook.port}/")})
        (letter,) = letters(told, sample(told, "check_failed") | {"facts": {}})
        assert notify_sender.attempt_apart(letter) == ""
        assert len(hook.got) == 1


def test_a_courier_tells_in_order_tries_again_and_survives_its_sender():
    """The sender is killed with something in its hands: the next one delivers it."""
    with Webhook() as hook:
        told = config().model_copy(update={"notify": SecretStr(f"json://127.0.0.1:{hook.port}/{TOKEN}")})
        courier = Dispatcher()
        hook.refusing = True
        courier.tell(told, sample(told, "dead"))
        courier.tell(told, sample(told, "promoted"))
        hook.wait_for_refusal()
        hook.refusing = False
        assert courier.finish(30)
        assert [call["title"] for call in hook.got] == [
            "app1: db1 (10.0.0.1:3306) is dead",
            "app1: db2 (10.0.0.2:3306) takes writes",
        ]
        sender = courier._sender
        assert sender is not None
        process = Path(f"/proc/{sender.pid}")
        assert TOKEN not in (process / "cmdline").read_text() + (process / "environ").read_text()
        os.kill(sender.pid, signal.SIGSTOP)
        courier.tell(told, sample(told, "completed"))
        assert not courier.finish(0.5)
        os.kill(sender.pid, signal.SIGKILL)
        assert courier.finish(30)
        assert len(hook.got) == 3
        assert courier.told["app1", "sent"] == 3


def test_an_outbox_keeps_the_order_and_gives_each_once(tmp_path):
    of = config().model_copy(update={"manager_workdir": tmp_path})
    box, hooks = Outbox(of), EventHooks(of)
    hooks.note("lagging", text="nobody delivers")
    assert box.waiting() == [], "without an API nothing is kept"
    box.open()
    for number in range(20):
        hooks.note("lagging", text=str(number))
    with box.emptying() as ours, Outbox(of).emptying() as another:
        assert (ours, another) == (True, False)
        first = box.take(15)
        assert [document["text"] for _, document in first] == [str(n) for n in range(15)]
        box.done([path for path, _ in first])
    (box.path / "00000000000000000000-1-1.json").write_text("{half of")
    assert [document["text"] for _, document in box.take(99)] == [str(n) for n in range(15, 20)]
    assert len({json.loads(path.read_text())["id"] for path in box.waiting()}) == 5


@pytest.mark.parametrize(
    ("attach", "page", "attached", "ending"),
    [
        ("html", "<p>page</p>", "<p>page</p>", ".html"),
        ("html", "", "# Report", ".md"),
        ("markdown", "<p>page</p>", "# Report", ".md"),
        ("none", "<p>page</p>", "", ".md"),
    ],
)
def test_what_is_attached(tmp_path, attach, page, attached, ending):
    told = config().model_copy(update={"notify": SecretStr("json://a/"), "notify_attach": attach})
    document = sample(told, "completed")
    document["facts"] = {"report": "# Report", "page": str(tmp_path / "page.html") if page else ""}
    (tmp_path / "page.html").write_text(page)
    (letter,) = letters(told, document)
    assert (letter.attachment, letter.ending, letter.report) == (attached, ending, "# Report")


def test_a_page_that_is_gone_is_told_by_the_report(tmp_path):
    told = config().model_copy(update={"notify": SecretStr("json://a/")})
    document = sample(told, "completed")
    document["facts"] = {"report": "# Report", "page": str(tmp_path / "gone.html")}
    (letter,) = letters(told, document)
    assert (letter.attachment, letter.ending) == ("# Report", ".md")
