"""One more look at a server right before it is fenced: an answer of any kind, and it is not dead (design rule 12)."""

from __future__ import annotations

from ...config import ServerConfig
from ..detection.observation import SOMEBODY_ELSE
from ..errors import ServerError
from ..model.refusal import Refusal
from ..mysql.server import Server

#: The code of the refusal; who watches goes on watching.
PRIMARY_ALIVE = "primary-alive"
#: Verdicts about its disk: such a server answers, and what it answers is no reason not to fence it.
OF_DISK = frozenset({"hung storage", "full or read-only disk"})
#: And the one about a primary that takes no writes, where `reopen` is failover.
READ_ONLY_PRIMARY = "read-only primary"
#: And the one about its process, while something else answers.
ANSWER_THOUGH_DEAD = OF_DISK | {SOMEBODY_ELSE, READ_ONLY_PRIMARY}


def look_once_more(server: ServerConfig, *, timeout: float) -> tuple[str, str]:
    """What it answers within ``timeout`` seconds, and why it does not; one of the two is empty."""
    session = Server(server)
    try:
        session.connect(timeout)
    except ServerError as error:
        return (str(error), "") if error.answered else ("", str(error))
    finally:
        session.close()
    return f"{server.name} takes a session", ""


def what_was_told(name: str) -> str:
    """For people: what whoever took its port may know, and nobody of ours can keep from him."""
    return (
        f"Somebody else listens on the port of {name}: end him. He was told names of accounts, and a scramble of the "
        "password of each that logged in, replicas among them; applications that send it in clear have told him theirs."
    )


def alive(name: str, answer: str) -> Refusal:
    """It is left alone: ``answer`` is what was seen of it."""
    return Refusal(
        PRIMARY_ALIVE,
        f"{name} is not dead, and was left alone: {answer}.",
        "Fix what it says. If it hangs, end its mysqld yourself, then start the failover again; "
        "to move a living primary, make a planned switch.",
    )
