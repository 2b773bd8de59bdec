"""The samples that send a report, as a user copies them; a mail server and a sendmail that only listen."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from email import message_from_string
from pathlib import Path

from prefect_mha.config.editing.starter import EXAMPLES

WORDS = ["--orig_master_host=db1", "--new_master_host=db2", "--new_slave_hosts=db3", "--conf=/etc/mha/app1.cnf"]
SUBJECT, BODY = "app1: failover\nBcc: x@example.com", "Grüße\n.\n-- db2 takes writes"


def copy(name: str, to: Path, old: str, new: str) -> list[str]:
    """The sample with one of its lines set, and how the manager calls it."""
    text = (EXAMPLES / name).read_text()
    assert old in text
    to.write_text(text.replace(old, new))
    to.chmod(0o755)
    return [str(to), *WORDS, f"--subject={SUBJECT}", f"--body={BODY}"]


def test_the_shell_sample_hands_it_to_sendmail_and_no_header_is_smuggled_in(tmp_path: Path) -> None:
    sendmail = tmp_path / "sendmail"
    sendmail.write_text(f'#!/bin/sh\ncat >{tmp_path}/mail\necho "$@" >{tmp_path}/words\n')
    sendmail.chmod(0o755)
    words = copy("send_report.sh", tmp_path / "send", "/usr/sbin/sendmail", str(sendmail))
    subprocess.run(words, check=True, timeout=30)
    mail = message_from_string((tmp_path / "mail").read_text())
    assert (mail["Subject"], mail["Bcc"]) == ("app1: failover Bcc: x@example.com", None)
    assert BODY in str(mail.get_payload())
    assert (tmp_path / "words").read_text().split() == ["-i", "-f", "mha@example.com", "dba@example.com"]


def test_the_python_sample_hands_it_to_a_mail_server(tmp_path: Path) -> None:
    came: list[str] = []

    def serve() -> None:
        peer, _ = listening.accept()
        with peer, peer.makefile("rw", encoding="utf-8", newline="\r\n") as stream:
            stream.write("220 here\r\n")
            stream.flush()
            while line := stream.readline().strip():
                came.append(line)
                answer = {"data": "354 go on", "quit": "221 bye"}.get(line.lower(), "250 ok")
                stream.write(f"{answer}\r\n")
                stream.flush()
                if line.lower() == "data":
                    while (line := stream.readline().rstrip("\r\n")) != ".":
                        came.append(line)
                    stream.write("250 taken\r\n")
                    stream.flush()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        words = copy("send_report", tmp_path / "send", '"localhost", 25', f'"127.0.0.1", {port}')
        subprocess.run([sys.executable, *words], check=True, timeout=30)
        thread.join(10)
    assert "Subject: app1: failover Bcc: x@example.com" in came
    assert not [line for line in came if line.startswith("Bcc:")]
