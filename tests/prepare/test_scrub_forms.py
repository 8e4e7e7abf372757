"""What is recognised by its form or by its surroundings, what only looks like it, and how long it takes."""

from __future__ import annotations

import json
import re
import time

import pytest
from test_scrub import SCRUB, said, scrubbed


def kinds_in(text: str) -> dict[str, int]:
    counts = SCRUB(said(text)).metadata.get("scrubbed", {})
    assert isinstance(counts, dict)
    return counts


@pytest.mark.parametrize(
    "text",
    [
        "password = get_password()",
        "password: str = Field(min_length=8)",
        "password: Optional[str] = None, token: string256",
        "token = os.environ['GITHUB_TOKEN2']",
        "API_KEY=$MY_KEY1 TOKEN=${TOKEN_2:-x} secret: ${{ secrets.DEPLOY_KEY2 }} KEY=%KEY2%",
        'api_key="<your key 1>" apiKey: "your-api-key-1" token="xxxxxxxxxxxx" password: "********"',
        "the password 'required' is, the password \"field\", token 'abc'",
        "PASSWORD=changeme password: 'password' secret=None token=null",
        "self.password = password1; password = self.password2; f(token=token1, access_token=access_token_v2)",
        "max_tokens: 4096, token_count=12345678, tokens: [1a2b3c4d5e]",
        '"eos_token": "<|endoftext12|>", "pad_token": "pad12345678", next_token=abc123def456ghi',
        "primary_key=True sort_key='created_at1x' key = 'abc12345'",
        "--- PASS: TestLogin2Factor_Works (0.00s)",
        "pwd=/srv/app2/src password_hash = 'x' ; PWD: ./a1/b2",
        "Authorization: Bearer YOUR_ACCESS_TOKEN; Bearer authentication_is_required",
        "postgres://postgres:postgres@localhost/db https://user:${PASS}@host https://u:<password>@h",
        "if '-----BEGIN PRIVATE KEY-----' in text and '-----END PRIVATE KEY-----' in text:",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----",
        "sk-ant-api03-xxxxxxxxxxxxxxxxxxxxxxxx ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx task-1234567890abcdefghij1234",
        "hf_hub_download_from_the_repository gl-something sk-circle-fade-dot",
        "react@18.2.0 actions/checkout@v4.1.1 icon@2x.png getty@tty1.service W@x.transpose @types/node@20",
        "git@github.com:a/b.git noreply@github.com me@sub.example.org a@b.test x@y.invalid",
        "https://bob@git.internal/x ssh://deploy@host.corp.io/x",
        "1700000000 1700000000123 1700000000123456 20240515 2024-05-15 10:00:00 12:34:56.789012",
        "978-3-16-148410-0 3.14159265358979 +1.2345678901 -415.5552671 0x1234567890 v10.20.30 line 1234:5678",
        "@@ -1,2 +3,4 @@\n+14155552671\n",
        "555-0123 (212) 555-0199 +1 415-555-0100",
        "4111111111111112 1234567812345678 0000000000000000",
        "DE89370400440532013001 GB82WEST12345698765433",
        "000-12-3456 666-12-3456 123-00-4567 123-45-0000 900-12-3456",
        "v10.2.3.4 pkg==10.2.3.4 version: 12.34.56.78 Chrome/120.0.6099.71 1.2.3.4 10.2.3.4.5 999.10.10.10",
        "127.0.0.1 0.0.0.0 255.255.255.0 169.254.169.254 192.0.2.7 198.51.100.3 203.0.113.9 8.8.8.8",
        "::1 fe80::1 2001:db8::1 std::vector a::b c0::de Foo::Bar1 12:34:56 aa:bb:cc:dd",
        "00:00:00:00:00:00 ff:ff:ff:ff:ff:ff 00:00:5e:00:53:01 aa:bb:cc:dd:ee:ff:00:11",
        "/home/user/x /Users/Shared/x /home/runner/work C:\\Users\\Public\\x /home/1000 /home/$USER /Users/<name>/x",
        "https://x.io/home/about https://x.io/Users/about src/home/components {id}/home/x --home-dir",
        "T3BlbkFJ d670460b4b4aece5915caf5c68d12f560a9fe3e4 chatcmpl-9abcDEF123ghiJKL456 msg_01XFDUDYJgAACzvnptvVoYEL",
    ],
)
def test_what_only_looks_private_stays(text: str) -> None:
    transcript = said(text)
    assert SCRUB(transcript) is transcript, SCRUB.findings(transcript)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mysql --password=S3cr3tpw -u root", "assignment"),
        ("deploy --db-password S3cr3tpw9 -v", "assignment"),
        ("<password>S3cr3tpw</password>", "assignment"),
        ("PGPASSWORD=xK9#mP2$vL5nQ8wR", "assignment"),
        ("{'password': 'hunter2hunter2'}", "assignment"),
        ("const token: string = `abcd1234efgh`;", "assignment"),
        ('if password == "hunter2x!":', "assignment"),
        ("https://x.io/?access_token=a1b2c3d4e5f6&x=1", "assignment"),
        ("X-Api-Key: a1b2c3d4e5f6a7b8", "assignment"),
        ("secret_key := 'a1b2c3.d4e5f6'", "assignment"),
        ("//registry.npmjs.org/:_authToken=550e8400-e29b-41d4-a716-446655440000", "assignment"),
        ("DD_APP_KEY=1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b", "assignment"),
        ("as ann, with the password 'jd#2022!'", "assignment"),
        ("ALTER USER ann IDENTIFIED BY PASSWORD 'a1b2c3d4'", "assignment"),
        ("İİ password=hunter2hunter2", "assignment"),
        ("AWS_SECRET_ACCESS_KEY='wJalrXUtnFEMI/K7MDENG/bPxRfiCYbbbbbbbKEY'", "aws_secret_key"),
        ('curl -H "Authorization: Basic dXNlcjpwYXNzd29yZDEyMw=="', "bearer"),
        ("https://alice:s3cr3t%40pw@host.io/x", "url_password"),
        ("https://discord.com/api/webhooks/123456789/" + "aB3-x" * 12, "discord"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\n[cut]", "private_key"),
        ("/System/Volumes/Data/Users/quillon/x", "home"),
        ("file:///home/quillon/x", "home"),
        ("C:/Users/quillon/x", "home"),
        ("C:\\Users\\Ann Quillon\\x", "home"),
        ("/mnt/c/Users/quillon", "home"),
        ("~/.claude/projects/-Users-quillon-app/x", "home"),
        ("mailto:bob@corp.co.uk", "email"),
        ("<jörg.müller@firma.de>", "email"),
        ("https://x.io/?user=bob@corp.io", "email"),
        ("12345+bob@users.noreply.github.com", "email"),
        ("phone: 4155552671", "phone"),
        ("+14155552671", "phone"),
        ("call 06 12 34 56 78.", "phone"),
        ("+44 20 7946 4715 127.0.0.1", "phone"),
        ("378282246310005", "card"),
        ("3782 822463 10005", "card"),
        ("ssh 192.168.1.17", "ip"),
        ("http://[fd12:3456:789a:1::1]:80", "ip"),
        ("AA-BB-CC-DD-EE-0F", "mac"),
    ],
)
def test_forms_that_are_recognised(text: str, kind: str) -> None:
    assert kinds_in(text) == {kind: 1}
    assert SCRUB(said(scrubbed(text))).metadata == {}


# -- escapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('{"c": "see\\nAKIAABCDEFGHIJKLMN07"}', '{"c": "see\\nAKIASCRUBBEDXXXXXX00"}'),
        ('{"c": "\\"a\\\\nAKIAABCDEFGHIJKLMN07\\""}', '{"c": "\\"a\\\\nAKIASCRUBBEDXXXXXX00\\""}'),
        ("\x1b[32mAKIAABCDEFGHIJKLMN07\x1b[0m", "\x1b[32mAKIASCRUBBEDXXXXXX00\x1b[0m"),
        ("\\u001b[32mAKIAABCDEFGHIJKLMN07\\u001b[0m", "\\u001b[32mAKIASCRUBBEDXXXXXX00\\u001b[0m"),
        ('{"u": "https:\\/\\/u:s3cr3tpw@h.io\\/"}', '{"u": "https:\\/\\/u:s6ru8bxx@h.io\\/"}'),
        ('{"u": "bob\\u0040corp.io"}', '{"u": "nymxx\\u0040example.XXX"}'),
        ("?mail=bob%40corp.io", "?mail=nymxx%40example.XXX"),
        ('{"p": "C:\\\\Users\\\\nina\\\\x"}', '{"p": "C:\\\\Users\\\\nymxx\\\\x"}'),
        ("C:\\Users\\nina\\new", "C:\\Users\\nymxx\\new"),
        ('"\\n/home/nina\\n"', '"\\n/home/nymxx\\n"'),
        ('{"a": "password=\\"p\\u00e9ss\\u0040w0rd\\""}', '{"a": "password=\\"scru\\u0040b8xx\\""}'),
    ],
)
def test_values_between_and_with_escapes(text: str, clean: str) -> None:
    made = scrubbed(text)
    pattern = (
        re.escape(clean).replace("XXXXXX00", "[A-Z0-9]{8}").replace("xx", "[a-z0-9]{2}").replace("XXX", "[a-z]{3}")
    )
    assert re.fullmatch(pattern, made), made
    assert text.startswith("{") <= isinstance(json.loads(made) if text.startswith("{") else None, dict)


# -- speed ----------------------------------------------------------------------------------------------------------


UNITS = (
    """a A1 1 1- +1 . \\ \\n a@ @a. ://a: eyJabcdefgh. a: " /home/ Users\\ aa: GB29 0123456789abcdef /+ password:x"""
)


@pytest.mark.parametrize(
    "unit", [*UNITS.split(" "), "1 ", "bearer ", "password: ", "-----BEGIN PRIVATE KEY-----\nMIIE"]
)
def test_one_long_line_takes_linear_time(unit: str) -> None:
    def seconds(size: int) -> float:
        text = (unit * (size // len(unit) + 1))[:size]
        start = time.process_time()
        SCRUB(said(text + " bob@corp.io"))
        return time.process_time() - start

    assert seconds(400_000) < 10 * seconds(100_000) + 0.5
