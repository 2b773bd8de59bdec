"""Events as Prefect takes them, and when a monitor's heart beats."""

from __future__ import annotations

import os

import pytest

from prefect_mha.config.forms.event_names import EVENTS
from prefect_mha.flows.engine.events import HEARTBEAT, NAMES, _Delivery, prefect_event
from prefect_mha.replication.memory.health_file import HealthFile, ManagerStatus
from prefect_mha.replication.memory.manager_lock import ManagerLock
from prefect_mha.replication.memory.spool import Outbox
from prefect_mha.replication.notify.events import sample
from tests.unit.replication.address.build import config


def test_every_event_has_a_name_in_prefect_and_its_cluster_as_resource():
    assert set(EVENTS) <= set(NAMES)
    assert len(set(NAMES.values())) == len(NAMES)
    event = prefect_event(sample(config(), "promoted"))
    assert event["event"] == "mha.failover.promoted"
    assert event["resource"]["prefect.resource.id"] == "mha.cluster.app1"
    assert [each.get("prefect.resource.role") for each in event["related"]] == ["old-primary", "new-primary"]
    assert "report" not in event["payload"]


class Sent(_Delivery):
    """A delivery whose API is this list: refusing some, or away."""

    def __init__(self, of, *, heartbeat=False):
        super().__init__(of, Outbox(of), [], heartbeat)
        self.sent, self.answers = [], []

    def _send(self, events):
        answer = self.answers.pop(0) if self.answers else "taken"
        self._away = answer == "away"
        if answer == "taken":
            self.sent += [event["payload"].get("text", event["event"]) for event in events]
        return answer


@pytest.fixture
def of(tmp_path):
    made = config().model_copy(update={"manager_workdir": tmp_path})
    Outbox(made).open()
    return made


def put(of, *texts):
    for text in texts:
        Outbox(of).keep({**sample(of, "dead"), "text": text})


def test_an_event_is_related_to_the_run_that_it_happened_in_and_its_deployment():
    document = {
        "id": "1",
        "at": "2026-01-01T00:00:00+00:00",
        "event": "promoted",
        "cluster": "app1",
        "conf": "/etc/mha/app1.cnf",
        "text": "db2 takes writes",
        "old_primary": None,
        "new_primary": None,
        "facts": {},
    }
    assert prefect_event(document)["related"] == []
    related = prefect_event({**document, "within": {"flow_run": "a", "deployment": "b"}})["related"]
    assert related == [
        {"prefect.resource.id": "prefect.flow-run.a", "prefect.resource.role": "flow-run"},
        {"prefect.resource.id": "prefect.deployment.b", "prefect.resource.role": "deployment"},
    ]


def test_what_prefect_does_not_take_now_stays_and_what_it_never_takes_goes_alone(of):
    delivery = Sent(of)
    put(of, "a", "b")
    delivery.answers = ["away"]
    delivery._round()
    assert (delivery.sent, len(Outbox(of).waiting())) == ([], 2)
    put(of, "c")
    delivery.answers = ["refused", "taken", "refused", "taken"]
    delivery._round()
    assert (delivery.sent, Outbox(of).waiting()) == (["a", "c"], [])


def test_an_event_that_another_version_left_holds_nobody_up(of):
    delivery = Sent(of)
    Outbox(of).keep({"event": "unheard-of"})
    put(of, "a")
    delivery._round()
    assert (delivery.sent, Outbox(of).waiting()) == (["a"], [])


def test_a_manager_whose_watch_stands_still_has_no_heartbeat(of):
    delivery = Sent(of, heartbeat=True)
    delivery._beat()
    assert delivery.sent == [], "there is no manager"
    health = HealthFile(of.manager_workdir, of.name)
    with ManagerLock(of.manager_workdir, of.name):
        health.write(ManagerStatus.PING_OK, "db1")
        delivery._beat()
        assert delivery.sent == [HEARTBEAT]
        os.utime(health.path, (1.0e9, 1.0e9))
        delivery._beat()
        assert delivery.sent == [HEARTBEAT], "its last ping was long ago"
