"""What is converted means the same, whatever it holds; and it is refused where the other form cannot say it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_mha.config import ConfigError, load_cluster
from prefect_mha.config.editing.convert import converted, plain_secrets
from prefect_mha.config.editing.write import header, ini_setting, toml_setting
from prefect_mha.config.forms.ini import parse_ini
from prefect_mha.config.forms.toml import parse_toml
from tests.unit.config.conftest import SAMPLES

INI, TOML = Path("app1.cnf"), Path("mha.toml")
EXAMPLES = Path(__file__).parents[3] / "config" / "examples"

TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=12
)
AWKWARD = st.sampled_from(
    ["a=b", "# x", "a #b", "'", '"', "it's", '"a" --b "c"', " x ", "a;b", "a ; b", "env:X", "//", ""]
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "user": TEXTS | AWKWARD,
        "password": TEXTS | AWKWARD,
        "report_script": TEXTS | AWKWARD,
        "port": st.sampled_from(["3306", "03307", "+3308", ""]),
        "no_master": st.sampled_from(["0", "1", "yes", "Off", ""]),
        "hook_timeout": st.sampled_from(["60", "60.5", "7."]),
        "master_binlog_dir": st.sampled_from(["/a", "/a,/b", "/a , /b", "/a,", ","]),
        "ssh_options": st.sampled_from(["-i /k -o A=b", "-p 22", '-i "/a b"']),
    },
)
COMMENTS = st.sampled_from(["", "# note", "; note", "#password=x", "# [server7]", "#", "# é \t \x7f"])
NAMES = st.lists(st.sampled_from(["1", "2", "10", "_9", ".db1", ".x y", "a.b"]), min_size=1, max_size=3, unique=True)


def meaning(text: str, path: Path) -> object:
    cluster = load_cluster(path, None, resolve=str, secrets=False, text=text)
    servers = [s.model_dump(exclude={"block"}) for s in cluster.servers]
    return servers, cluster.model_dump(exclude={"name", "path", "warnings", "servers"})


@settings(deadline=None, max_examples=200)
@given(SETTINGS, st.lists(SETTINGS, min_size=3, max_size=3), NAMES, st.lists(COMMENTS, min_size=5, max_size=5))
def test_there_and_back_it_means_the_same(default, blocks, names, comments):
    lines = [comments[0], "[server default]"]
    try:
        lines += [ini_setting(key, value) for key, value in default.items()]
        for number, (name, block) in enumerate(zip(names, blocks, strict=False), 1):
            lines += [comments[number], f"[server{name}]", f"hostname=10.0.0.{number}"]
            lines += [ini_setting(key, value) + "  # why" * (key == "port") for key, value in block.items()]
    except ConfigError:
        return  # no file of this form can hold that value
    text = "\n".join([*lines, comments[4]])
    there = converted(text, INI, TOML)
    assert meaning(there, TOML) == meaning(text, INI)
    back = converted(there, TOML, INI)
    assert meaning(back, INI) == meaning(text, INI)
    secrets = [
        block.values["password"].text for block in parse_ini(back, INI).blocks.values() if "password" in block.values
    ]
    assert secrets == [
        block.values["password"].text for block in parse_toml(there, TOML).blocks.values() if "password" in block.values
    ]


@pytest.mark.parametrize(
    "path", [EXAMPLES / "app1.cnf", EXAMPLES / "mha.toml", *sorted(SAMPLES.glob("*sh_comments.cnf"))]
)
def test_every_comment_of_a_file_that_people_wrote_stays(path):
    text = path.read_text()
    to = TOML if path.suffix == ".cnf" else INI
    made = converted(text, path, to)
    words = re.findall(r"(?:^|\s)(?:[#;]|//)\s*([^#\n]*?)\s*$", text, re.MULTILINE)
    assert words
    for comment in words:
        assert comment in made, comment


def test_comments_behind_values_stay_too():
    made = converted("[server1]\nhostname=10.0.0.1 # rack 7\nport=3307 ; odd\n", INI, TOML)
    assert 'hostname = "10.0.0.1"  # rack 7' in made
    assert "port = 3307  # odd" in made
    assert converted('[server.a]\nhostname = "a#b"  # rack 7\n', TOML, INI).endswith("# rack 7\nhostname=a#b\n")


def test_of_a_key_given_twice_the_one_that_counts_remains():
    made = converted("[server1]\nhostname=a\nport=1\n[server1]\nport=2\n", INI, TOML)
    assert made == '[server.1]\nhostname = "a"\nport = 2\n'


def test_what_the_other_form_cannot_say_is_refused_without_its_text():
    with pytest.raises(ConfigError, match="keep it in a file") as refused:
        converted('password = "s3\\ncret"\n[server.a]\nhostname = "a"\n', TOML, INI)
    assert "s3" not in str(refused.value)
    with pytest.raises(ConfigError, match="cannot be the name of a block"):
        converted('[server."a]b"]\nhostname = "a"\n', TOML, INI)


def test_secrets_in_plain_text_are_told_and_references_are_not():
    default = "[server default]\npassword=s3cret\nrepl_password=env:X\n#password=old\n;password=file:/x\n"
    default += "probe_password=prefect:x\n;password=prefect:x\n"
    text = f"{default}[server1]\nhostname=a\n"
    assert plain_secrets(text, INI) == ["line 2: password of [server default]", "line 4: password in a comment"]
    assert plain_secrets("password = 'x'\n[server.a]\nhostname='a'\n", TOML) == ["line 1: password of [server default]"]


@given(TEXTS | AWKWARD)
def test_a_value_is_read_as_it_was_written(text):
    assert parse_toml(toml_setting("user", text), TOML).defaults()["user"].text == text
    for key in ("user", "password"):
        try:
            line = ini_setting(key, text)
        except ConfigError:
            continue
        assert parse_ini(f"[server default]\n{line}", INI).defaults()[key].text == text


def test_headers_of_both_forms():
    assert header("server_9", INI) == "[server_9]"
    assert header("server.db-1", TOML) == "[server.db-1]"
    assert header("server.db1.example.com", TOML) == '[server."db1.example.com"]'
    for block, path in (("server]", INI), ("server\n1", INI), (" server1", INI), ("server1", TOML)):
        with pytest.raises(ConfigError):
            header(block, path)
