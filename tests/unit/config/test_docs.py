"""The examples load, and the reference page tells every parameter with its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from prefect_mha.config import ClusterConfig, ServerConfig, load_cluster
from prefect_mha.config.loader import CLUSTER_PARAMETERS, SERVER_PARAMETERS
from tests.reference import parameter_row

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "configuration.md"
EXAMPLES = ROOT / "config" / "examples"


@pytest.mark.parametrize(
    ("model", "name"),
    [(ServerConfig, n) for n in sorted(SERVER_PARAMETERS)] + [(ClusterConfig, n) for n in sorted(CLUSTER_PARAMETERS)],
)
def test_the_page_has_each_parameter_as_it_is(model, name):
    assert parameter_row(model, name) in PAGE.read_text(encoding="utf-8").splitlines()


def test_the_page_names_no_parameter_that_does_not_exist():
    named = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(SERVER_PARAMETERS | CLUSTER_PARAMETERS)


@pytest.fixture
def examples(tmp_path):
    """Both examples, loaded with their secrets in place."""
    (tmp_path / "secret").write_text("s3cr3t\n")
    loaded = []
    for name in ("app1.cnf", "mha.toml"):
        text = (EXAMPLES / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(re.sub(r"/etc/mha/app1(\.repl)?\.password", str(tmp_path / "secret"), text))
        loaded.append(load_cluster(tmp_path / name, None, resolve=lambda host: f"10.0.0.{host[2]}"))
    return loaded


def test_both_examples_load_without_a_warning_and_say_the_same(examples):
    ini, toml = examples
    assert ini.warnings == toml.warnings == ()
    leave = {"name", "path", "servers"}
    assert ini.model_dump(exclude=leave) == toml.model_dump(exclude=leave)
    assert [s.model_dump(exclude={"block"}) for s in ini.servers] == [
        s.model_dump(exclude={"block"}) for s in toml.servers
    ]
    assert ini.servers[0].password.get_secret_value() == "s3cr3t"
    assert [s.no_master for s in ini.servers] == [False, False, True]


@pytest.mark.parametrize("name", ["app1.cnf", "mha.toml"])
def test_what_the_examples_comment_out_is_right_too(tmp_path, name):
    (tmp_path / "urls").write_text("jsons://hooks.example.com/mha\n")
    text = re.sub(r"(?m)^#(\[?\w+[\].]|\w+ ?=)", r"\1", (EXAMPLES / name).read_text(encoding="utf-8"))
    assert "\n#ssh_options" not in text
    text = re.sub(r"file:/etc/mha/app1(\.repl)?\.password", "x", text).replace(
        "/etc/mha/app1.notify", f"{tmp_path}/urls"
    )
    (tmp_path / name).write_text(text)
    cluster = load_cluster(tmp_path / name, None, resolve=lambda host: f"10.0.0.{ord(host[2])}")
    assert cluster.warnings == ()
    assert len(cluster.binlog_servers) == 1
    assert cluster.servers[0].ssh_options.strict_host_key_checking == "accept-new"


def test_each_row_of_the_table_of_policies_names_a_test_that_there_is() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    section = guide.split("### When a replica cannot be brought level")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ") and "What fails" not in line]
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(rows) == 18
    for *_, name in rows:
        assert f"def test_{name.strip(' |`')}(" in tests, name


def test_the_quick_start_says_the_same_in_both_languages():
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("quickstart.md", "quickstart.zh.md")]
    blocks = [re.findall(r"^```\w*\n(.*?)^```", page, re.MULTILINE | re.DOTALL) for page in pages]
    english, chinese = ([re.sub(r" *#.*", "", block) for block in each] for each in blocks)
    assert english == chinese
