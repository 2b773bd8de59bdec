"""ssh_options as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_mha.config import SshOptions

UNDERSTOOD = [
    ("", {}),
    ("-i /root/.ssh/key", {"identity_files": ("/root/.ssh/key",)}),
    ("-i/a -i '/b c' -o IdentityFile=/d", {"identity_files": ("/a", "/b c", "/d")}),
    ("-o StrictHostKeyChecking=no", {"strict_host_key_checking": "no"}),
    ("-oStrictHostKeyChecking=accept-new", {"strict_host_key_checking": "accept-new"}),
    ('-o "StrictHostKeyChecking no"', {"strict_host_key_checking": "no"}),
    ("-o stricthostkeychecking=ask", {"strict_host_key_checking": "yes"}),
    ("-o StrictHostKeyChecking=no -o StrictHostKeyChecking=yes", {"strict_host_key_checking": "no"}),
    ("-o UserKnownHostsFile=/dev/null", {"user_known_hosts_files": ("/dev/null",)}),
    ("-o 'UserKnownHostsFile /a /b'", {"user_known_hosts_files": ("/a", "/b")}),
    ("-p 2222", {"port": 2222}),
    ("-p2222", {"port": 2222}),
    ("-P 2222", {"port": 2222}),
    ("-o Port=2222 -p 22", {"port": 2222}),
    ("-l mha", {"user": "mha"}),
    ("-o User=mha", {"user": "mha"}),
    ("-F /etc/mha/ssh_config", {"config_file": "/etc/mha/ssh_config"}),
    ("-o ConnectTimeout=3", {"connect_timeout": 3}),
    ("-o ProxyCommand=none", {"ignored": ("-o ProxyCommand=none",)}),
    ("-qT -C", {"ignored": ("-q", "-T", "-C")}),
    ("-o Compression=yes", {"ignored": ("-o Compression=yes",)}),
    ("-c aes128-ctr", {"ignored": ("-c aes128-ctr",)}),
]


@pytest.mark.parametrize(("text", "fields"), UNDERSTOOD)
def test_what_options_mean(text, fields):
    assert SshOptions.parse(text) == SshOptions(raw=text, **fields)


REFUSED = [
    ("key", "'key', which is not an option"),
    ("-i", "ends in -i"),
    ("-p ssh", "-p ssh, which is not a positive number"),
    ("-p 0", "not a positive number"),
    ("-p 65536", "-p 65536, which is not a port"),
    ("-o Port=99999", "not a port"),
    ("-o Port=x", "Port x"),
    ("-o StrictHostKeyChecking=maybe", "none of yes, no, accept-new"),
    ("-o StrictHostKeyChecking", "not Keyword=value"),
    ("-o ProxyJump=bastion", "ProxyJump, which is not supported"),
    ("-J bastion", "-J, which is not supported"),
    ("-L 1:a:2", "-L, which is not supported"),
    ("--verbose", "not an option"),
    ("-", "not an option"),
    ("-i 'open", "quote that is not closed"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_what_cannot_be_followed_is_refused_in_words(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        SshOptions.parse(text)


def test_only_options_whose_author_expects_an_effect_are_missed():
    options = SshOptions.parse("-q -C -o BatchMode=yes -o LogLevel=ERROR -o Ciphers=x -m hmac-sha2-256")
    assert options.missed == ("-o Ciphers=x", "-m hmac-sha2-256")


@settings(deadline=None)
@given(st.text())
def test_any_text_is_understood_or_refused(text):
    try:
        assert SshOptions.parse(text).raw == text
    except ValueError as error:
        assert str(error)
