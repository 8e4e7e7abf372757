"""What is taken out of private transcripts, what stands there instead, and what is left alone."""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import orjson
import pytest
from builders import acting, output, saying, tool_call
from hypothesis import given, settings
from hypothesis import strategies as st

from resample.formats import Located, read
from resample.prepare.scrub import KINDS, Rules, Scrubber
from resample.types import Transcript, UserError

SCRUB = Scrubber(Rules())
ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def said(*texts: str) -> Transcript:
    return Transcript("t", [{"role": "user", "content": text} for text in texts])


def scrubbed(text: str, scrub: Scrubber = SCRUB) -> str:
    content = scrub(said(text)).messages[0]["content"]
    assert isinstance(content, str)
    return content


# -- a corpus with items of every kind in every place ---------------------------------------------------------------


class Item(NamedTuple):
    """Something planted, what it stands between, and what a pseudonym of it looks like."""

    kind: str
    value: str
    shape: str
    before: str = "see "
    after: str = " there"


def drawn(random: Random, size: int, alphabet: str = ALNUM) -> str:
    """With a digit and a letter wherever the alphabet has them, as nearly all of this length have."""
    made = random.choices(alphabet, k=size)
    made[0] = "7" if "7" in alphabet else made[0]
    made[1] = next((letter for letter in "bB" if letter in alphabet), made[1])
    return "".join(made)


def luhn(number: str) -> bool:
    return sum(sum(divmod(int(d) * (1 + i % 2), 10)) for i, d in enumerate(number[::-1])) % 10 == 0


def iban_rest(number: str) -> int:
    return int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97


def with_check_digit(number: str) -> str:
    return next(number + d for d in string.digits if luhn(number + d))


def with_checksum(country: str, account: str) -> str:
    return next(c for n in range(2, 99) if iban_rest(c := f"{country}{n:02}{account}") == 1)


def items(seed: int) -> list[Item]:
    """One of every sort, all different for another seed."""
    random = Random(seed)

    def d(size: int, alphabet: str = ALNUM) -> str:
        return drawn(random, size, alphabet)

    def n(size: int) -> str:
        return d(size, string.digits)

    def one(least: int, most: int) -> int:
        return random.randrange(least, most)

    def grouped(number: str, by: str) -> str:
        return by.join(re.findall(".{1,4}", number))

    upper, lower, code = string.ascii_uppercase + string.digits, string.ascii_lowercase + string.digits, ALNUM + "-_"
    name = random.choice(["quillon", "brandt", "osei", "marchetti"]) + d(3, string.ascii_lowercase)
    key = "\n".join(d(64, ALNUM + "+/") for _ in range(4))
    card, other_card = (with_check_digit("4" + n(14)) for _ in range(2))
    account, other_account = (with_checksum("DE", n(18)) for _ in range(2))
    phone = f"{one(2, 9)}12-{one(2, 9)}64-{one(1000, 9999)}"
    return [
        Item("aws_access_key", "AKIA" + d(16, upper), r"AKIA[0-9A-Z]{16}"),
        Item("aws_secret_key", d(40, ALNUM + "/+"), r"[A-Za-z0-9/+]{40}", "aws_secret_access_key = ", "\n"),
        Item("github", "ghp_" + d(36), r"ghp_[A-Za-z0-9]{36}"),
        Item("github", "github_pat_" + d(22) + "_" + d(59), r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
        Item("gitlab", "glpat-" + d(20), r"glpat-[A-Za-z0-9]{20}"),
        Item("slack", f"xoxb-{n(12)}-{n(12)}-{d(24)}", r"xoxb-\d{12}-\d{12}-[A-Za-z0-9]{24}"),
        Item(
            "slack_webhook",
            f"hooks.slack.com/services/T{d(8, upper)}/B{d(8, upper)}/{d(24)}",
            r"hooks\.slack\.com/services/[0-9A-Z]{9}/[0-9A-Z]{9}/[A-Za-z0-9]{24}",
            "https://",
        ),
        Item("stripe", "sk_live_" + d(24), r"sk_live_[A-Za-z0-9]{24}"),
        Item("google_api_key", "AIza" + d(35, code), r"AIza[\w-]{35}"),
        Item("google_oauth", "GOCSPX-" + d(28, code), r"GOCSPX-[\w-]{28}"),
        Item("openai", "sk-" + d(48), r"sk-[A-Za-z0-9]{48}"),
        Item("openai", "sk-proj-" + d(80, code), r"sk-proj-[\w-]{80}"),
        Item("anthropic", "sk-ant-api03-" + d(93, code), r"sk-ant-api03-[\w-]{93}"),
        Item("huggingface", "hf_" + d(34), r"hf_[A-Za-z0-9]{34}"),
        Item("npm", "npm_" + d(36), r"npm_[A-Za-z0-9]{36}"),
        Item("pypi", "pypi-AgEIcHlwaS5vcmc" + d(80, code), r"pypi-AgEIcHlwaS5vcmc[\w-]{80}"),
        Item("sendgrid", f"SG.{d(22)}.{d(43)}", r"SG\.[\w-]{22}\.[\w-]{43}"),
        Item("twilio", "SK" + d(32, HEX), r"SK[0-9a-f]{32}"),
        Item("telegram", f"AA{d(33)}", r"AA[\w-]{33}", "bot token 7123456789:"),
        Item("discord", f"M{d(23)}.{d(6)}.{d(27)}", r"[A-Z][\w-]{23}\.[\w-]{6}\.[\w-]{27}"),
        Item("azure", d(86) + "==", r"[A-Za-z0-9]{86}==", "AccountName=x;AccountKey=", ";EndpointSuffix=x"),
        Item("jwt", f"eyJ{d(33)}.eyJ{d(60)}.{d(43)}", r"eyJ\w{33}\.eyJ\w{60}\.\w{43}"),
        Item("other_token", "dop_v1_" + d(64, HEX), r"dop_v1_[0-9a-f]{64}"),
        Item(
            "private_key",
            key,
            r"(?:[A-Za-z0-9+/]{64}\n){3}[A-Za-z0-9+/]{64}",
            "-----BEGIN RSA PRIVATE KEY-----\n",
            "\n-----END RSA PRIVATE KEY-----",
        ),
        Item("url_password", d(12), r"[A-Za-z0-9]{12}", "postgresql://app:", "@db.internal:5432/main"),
        Item("url_password", d(11), r"[A-Za-z0-9]{11}", "redis://:", "@cache:6379"),
        Item("bearer", d(32), r"[A-Za-z0-9]{32}", "Authorization: Bearer "),
        Item("assignment", d(14), r"[A-Za-z0-9]{14}", "password="),
        Item("assignment", d(20, lower), r"[a-z0-9]{20}", 'api_key: "', '"'),
        Item("assignment", d(18), r"[A-Za-z0-9]{18}", "export X_TOKEN="),
        Item("email", f"{name}.b@mail.corp-{d(4, HEX)}.io", r"nym[a-z]+@example\.(?:com|org|net)"),
        Item("phone", "+1 " + phone, r"\+1 \d{3}-555-01\d\d"),
        Item("phone", f"({phone[:3]}) {phone[4:7]}-{one(1000, 9999)}", r"\(\d{3}\) 555-01\d\d"),
        Item("phone", f"+44 20 7946 {one(1000, 9999)}", r"\+44 \d\d \d{4} \d{4}", after=", please"),
        Item("card", card, r"4\d{15}"),
        Item("card", grouped(other_card, "-"), r"4\d{3}(?:-\d{4}){3}"),
        Item("iban", account, r"DE\d{20}"),
        Item("iban", grouped(other_account, " "), r"DE\d\d(?: \d{4}){4} \d\d"),
        Item("ssn", f"{one(100, 600)}-{one(10, 99)}-{one(1000, 9999)}", r"9\d\d-\d\d-\d{4}"),
        Item("ip", f"10.{one(20, 255)}.3.{one(20, 255)}", r"(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+"),
        Item("ip", f"2a01:{one(4096, 9999)}:85a3::7334", r"2001:db8::[0-9a-f]+:[0-9a-f]+"),
        Item("mac", f"3c:22:fb:{one(16, 99)}:0a:{one(16, 99)}", r"00:00:5e(?::[0-9a-f]{2}){3}"),
        Item("home", name, r"nym[a-z]+", "/Users/", "/src/app.py"),
    ]


INNOCENT = """\
commit d670460b4b4aece5915caf5c68d12f560a9fe3e4
sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 550e8400-e29b-41d4-a716-446655440000
call_mK3xQ0aZ81bTfuYh toolu_01A09q90qw90lq917835lq9 chatcmpl-9abcDEF123ghiJKL456 req_011CSHoEeqs5C35K2UUqR7Fy
password = get_password(); token = tokens[1]; secret: str = os.environ['X']; api_key=$API_KEY; key='<your key>'
2024-05-15T10:00:00.123Z 1715767200 1715767200123 v1.2.3.4 requests==2.31.0 react@18.2.0 actions/checkout@v4
127.0.0.1:8080 0.0.0.0 git@github.com:a/b.git noreply@x.ai user@example.com 555-0123 /home/user/x @app.route('/y')
iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==
"""


def corpus(seed: int) -> Transcript:
    """Each item on its own, then all of them in each place there is."""
    planted = items(seed)
    lines = [item.before + item.value + item.after for item in planted]
    everything = "\n".join(INNOCENT + line for line in lines)
    nested = json.dumps({"stdout": everything})
    call = tool_call("bash", json.dumps({"command": everything, "api_key": [nested]}), "call_mK3xQ0aZ81bTfuYh")
    custom = {"id": "c2", "type": "custom", "custom": {"name": "patch", "input": everything}}
    parts = [
        {"type": "text", "text": everything},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo4111111111111111AKIA"}},
        {"type": "tool_result", "tool_use_id": "toolu_01", "content": [{"type": "text", "text": everything}]},
        {"type": "thinking", "thinking": everything, "signature": "c2lnbmF0dXJl"},
    ]
    described = {"type": "function", "function": {"name": "bash", "description": everything, "parameters": {}}}
    return Transcript(
        "t",
        [
            *({"role": "user", "content": line} for line in lines),
            {"role": "user", "content": parts, "name": "ann"},
            acting(call, custom, reasoning=everything),
            output(nested, "call_mK3xQ0aZ81bTfuYh"),
            output(everything.replace("/", "\\/"), "c2"),
            saying(everything),
        ],
        [described],
        {"source": "openai_chat", "extra": {"notes": [everything]}, "labels": {"what": everything}},
    )


def body(transcript: Transcript) -> str:
    metadata = {key: value for key, value in transcript.metadata.items() if key != "scrubbed"}
    return orjson.dumps([transcript.id, transcript.messages, transcript.tools, metadata]).decode()


def pseudonyms_of(planted: list[Item], clean: Transcript) -> list[str]:
    """What stands for each item where it stands alone."""
    contents = [message["content"] for message in clean.messages[: len(planted)]]
    assert all(c.startswith(i.before) and c.endswith(i.after) for i, c in zip(planted, contents, strict=True))
    return [c[len(i.before) : len(c) - len(i.after)] for i, c in zip(planted, contents, strict=True)]


@pytest.mark.parametrize("seed", range(8))
def test_every_planted_item_is_gone_and_everything_else_is_the_same(seed: int) -> None:
    planted, dirty = items(seed), corpus(seed)
    clean = SCRUB(dirty)
    text = body(clean)
    pseudonyms = pseudonyms_of(planted, clean)
    assert len(set(pseudonyms)) == len(planted)
    restored = text
    for item, pseudonym in zip(planted, pseudonyms, strict=True):
        assert re.fullmatch(item.shape, pseudonym), item.kind
        assert pseudonym not in body(dirty)
        # A key block has lines; a home's name is short, and may be a part of other words.
        for old, new in zip(item.value.split("\n"), pseudonym.split("\n"), strict=True):
            assert item.kind == "home" or old not in text, item.kind
            restored = restored.replace(new.replace("/", "\\\\/"), old.replace("/", "\\\\/")).replace(new, old)
    assert restored == body(dirty)
    assert set(clean.metadata["scrubbed"]) == {item.kind for item in planted}
    assert SCRUB(clean) is clean


def test_what_holds_a_transcript_together_stays() -> None:
    dirty = corpus(0)
    clean = SCRUB(dirty)
    for old, new in zip(dirty.messages, clean.messages, strict=True):
        assert {k: v for k, v in new.items() if k in ("role", "tool_call_id", "name")} == {
            k: v for k, v in old.items() if k in ("role", "tool_call_id", "name")
        }
    call, custom = next(m["tool_calls"] for m in clean.messages if "tool_calls" in m)
    assert (call["id"], call["type"], call["function"]["name"]) == ("call_mK3xQ0aZ81bTfuYh", "function", "bash")
    assert (custom["id"], custom["custom"]["name"]) == ("c2", "patch")
    arguments = json.loads(call["function"]["arguments"])
    assert list(arguments) == ["command", "api_key"]
    assert set(json.loads(arguments["api_key"][0])) == {"stdout"}
    assert clean.metadata["source"] == "openai_chat"


def test_the_corpus_has_every_kind() -> None:
    assert {item.kind for item in items(0)} == set(KINDS)


# -- what is left of it ---------------------------------------------------------------------------------------------

TOKEN = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


def test_what_was_replaced_is_counted_by_kind_and_nothing_else_is_kept() -> None:
    clean = SCRUB(said("ann@corp.io, bob@corp.io, ann@corp.io", TOKEN))
    assert clean.metadata == {"scrubbed": {"email": 3, "github": 1}}
    again = SCRUB(Transcript("t", [*clean.messages, *said("cy@corp.io").messages], [], clean.metadata))
    assert again.metadata == {"scrubbed": {"email": 4, "github": 1}}
    assert again.messages[:2] == clean.messages


# -- arguments -------------------------------------------------------------------------------------------------------


def test_what_stands_in_keys_of_arguments_is_replaced_and_other_keys_stay() -> None:
    arguments = '{"bob@corp.io" : "bob@corp.io", "x": {"AKIAABCDEFGHIJKLMN07": ["ann@corp.io"]}, "password": 1}'
    clean = SCRUB(Transcript("t", [acting(tool_call("f", arguments))]))
    text = clean.messages[0]["tool_calls"][0]["function"]["arguments"]
    new = json.loads(text)
    assert "bob@corp.io" not in text and "ann@corp.io" not in text and "AKIAABCDEFGHIJKLMN07" not in text
    key, *others = new
    assert new[key] == key and others == ["x", "password"]
    assert key.endswith(("@example.com", "@example.org", "@example.net"))


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("DB_PASSWORD=correcthorsebattery", "correcthorsebattery"),
        ("git clone https://Zx9kQw7pLabcd1234@git.initech.io/x", "Zx9kQw7pLabcd1234"),
        ("Authorization: Bearer abc123def456", "abc123def456"),
        ("curl -s -u bob:Zx9kQw7pL https://h.initech.io/", "Zx9kQw7pL"),
        ("curl --user 'bob:Zx9kQw7pL' https://h.initech.io/", "Zx9kQw7pL"),
    ],
)
def test_secrets_that_only_their_place_gives_away(text: str, secret: str) -> None:
    assert secret not in body(SCRUB(Transcript("t", [saying(text)])))


@pytest.mark.parametrize(
    "text",
    [
        "DB_PASSWORD=password",
        "db_password=load_password",
        "PASSWORD=$OTHER",
        "curl -u $USER:$PASSWORD https://h",
        "curl -u user:password https://h",
        "https://localhost@host",
        "PASSWORD_FILE=somewhere",
    ],
)
def test_what_only_looks_like_them_stays(text: str) -> None:
    transcript = Transcript("t", [saying(text)])
    assert SCRUB(transcript) is transcript


@pytest.mark.parametrize("arguments", ['{"c": "echo bob@corp.io && ', "echo bob@corp.io", '*** "Patch\n+ bob@corp.io'])
def test_arguments_that_are_no_json_are_scrubbed_as_any_text(arguments: str) -> None:
    clean = SCRUB(Transcript("t", [acting(tool_call("f", arguments))]))
    assert "bob@corp.io" not in body(clean) and clean.metadata == {"scrubbed": {"email": 1}}


def test_arguments_stay_json_whatever_a_pattern_of_the_users_own_takes() -> None:
    scrub = Scrubber(Rules(patterns={"greedy": r"start.*?stop", "word": r"true|null|12"}))
    arguments = '{"a": "start here", "b": [true, null, 12], "c": "or stop", "d": "start x stop"}'
    clean = scrub(Transcript("t", [acting(tool_call("f", arguments))]))
    new = json.loads(clean.messages[0]["tool_calls"][0]["function"]["arguments"])
    assert {**new, "d": ""} == {"a": "start here", "b": [True, None, 12], "c": "or stop", "d": ""}
    assert new["d"] != "start x stop"


# -- one value, one pseudonym ---------------------------------------------------------------------------------------


def test_a_secret_that_its_context_gave_away_is_replaced_wherever_it_stands() -> None:
    clean = SCRUB(said("I set hunter2hunter2 here", "password=hunter2hunter2", "and xhunter2hunter2x is another word"))
    first, second, third = (message["content"] for message in clean.messages)
    assert first == f"I set {second.removeprefix('password=')} here"
    assert third == "and xhunter2hunter2x is another word"
    assert clean.metadata == {"scrubbed": {"assignment": 2}}
    assert scrubbed("password=hunt3r2; the hunt3r2 of old").endswith("the hunt3r2 of old")


def test_a_user_is_the_same_in_paths_and_elsewhere() -> None:
    clean = scrubbed("/Users/ann-quillon/x -rw-r--r-- ann-quillon ~/.claude/projects/-Users-ann-quillon-x/")
    (user,) = set(re.findall(r"nym\w+", clean))
    assert clean == f"/Users/{user}/x -rw-r--r-- {user} ~/.claude/projects/-Users-{user}-x/"


def test_ways_to_write_one_number_keep_their_form() -> None:
    plain, dashed, spaced = scrubbed("4111111111111111, 4111-1111-1111-1111, 4111 1111 1111 1111").split(", ")
    assert plain == dashed.replace("-", "") == spaced.replace(" ", "") and luhn(plain)
    plain, spaced = scrubbed("GB82WEST12345698765432 or GB82 WEST 1234 5698 7654 32").split(" or ")
    assert plain == spaced.replace(" ", "") and iban_rest(plain) == 1
    upper, lower = scrubbed("3C:22:FB:0D:0A:99, 3c-22-fb-0d-0a-99").split(", ")
    assert upper.lower().replace(":", "-") == lower and upper.isupper()
    assert len(set(scrubbed("Bob@Corp.io bob@corp.io").split())) == 1


def test_a_longer_copy_of_a_conversation_begins_as_the_shorter_one() -> None:
    dirty = corpus(3)
    whole = SCRUB(dirty).messages
    for size in range(1, len(whole)):
        assert SCRUB(Transcript("t", dirty.messages[:size])).messages == whole[:size]


def test_pseudonyms_do_not_come_from_the_value_and_do_not_collide() -> None:
    one, other = said("ghp_" + "k1B2" * 9), said("ghp_" + "z9Y8" * 9)
    assert SCRUB(one).messages[0]["content"][:12] == SCRUB(other).messages[0]["content"][:12] == "ghp_s6R0b8E0"
    many = " ".join(f"10.{n // 250}.{n % 250}.77" for n in range(1000))
    made = scrubbed(many).split()
    assert len(set(made)) == 1000
    assert all(ip_address(address).is_private and address not in many for address in made)
    passwords = "\n".join(f"password={n:06}" for n in range(123, 623))
    assert len(set(scrubbed(passwords).split("\n"))) == 500


def test_a_pseudonym_that_stands_there_already_is_not_used() -> None:
    taken = scrubbed("10.1.2.33")
    assert scrubbed(f"{taken} 10.1.2.33").split()[1] != taken


def test_ids_and_clusters_stay_equal_between_transcripts() -> None:
    one = SCRUB(Transcript("run-bob@corp.io", said("hi").messages, [], {"cluster": "bob@corp.io", "stratum": "a"}))
    other = SCRUB(Transcript("two", said("hi ann@corp.io").messages, [], {"cluster": "bob@corp.io"}))
    assert re.fullmatch(r"scrubbed-[0-9a-f]{12}", one.id) and other.id == "two"
    assert re.fullmatch(r"scrubbed-[0-9a-f]{12}", one.metadata["cluster"])
    assert one.metadata["cluster"] == other.metadata["cluster"] != one.id
    assert one.metadata["stratum"] == "a"
    assert one.metadata["scrubbed"] == {"email": 2}
    assert SCRUB(one) is one


# -- rules ----------------------------------------------------------------------------------------------------------


def test_kinds_can_be_left_out() -> None:
    only = Scrubber(Rules(kinds=["github"]))
    assert scrubbed(f"bob@corp.io {TOKEN}", only).startswith("bob@corp.io ghp_")
    assert only(said(TOKEN)).metadata == {"scrubbed": {"github": 1}}
    nothing = said(TOKEN)
    assert Scrubber(Rules(kinds=[]))(nothing) is nothing


def test_patterns_of_the_users_own() -> None:
    scrub = Scrubber(Rules(patterns={"ticket": r"ACME-\d+", "staff": r"employee (\w+)"}))
    clean = scrubbed("ACME-12345 by employee Müller2 and ACME-12345", scrub)
    assert re.fullmatch(r"(SCRU-\d{5}) by employee Scrub\w\w and \1", clean), clean
    assert scrub(said(clean)).metadata == {}


def test_what_is_allowed_stays() -> None:
    scrub = Scrubber(Rules(allow=[r".*@corp\.io", "quillon"]))
    assert scrubbed("bob@corp.io /home/quillon/x", scrub) == "bob@corp.io /home/quillon/x"
    assert scrubbed("bob@corp.io.uk", scrub) != "bob@corp.io.uk"


@pytest.mark.parametrize(
    ("rules", "where"),
    [
        (Rules(kinds=["email", "emial"]), "scrub.kinds: there is no 'emial'; there are private_key"),
        (Rules(patterns={"ticket": "("}), "scrub.patterns.ticket: '(' is no regular expression"),
        (Rules(patterns={"email": "x"}), "scrub.patterns.email: there is a kind of this name already"),
        (Rules(allow=["[z-a]"]), "scrub.allow: '[z-a]' is no regular expression"),
    ],
)
def test_bad_rules_are_named(rules: Rules, where: str) -> None:
    with pytest.raises(UserError, match=re.escape(where)):
        Scrubber(rules)


def test_findings_say_what_would_be_replaced() -> None:
    messages = [
        {"role": "user", "content": f"bob@corp.io bob@corp.io {TOKEN}"},
        acting(tool_call("a", "{}"), tool_call("b", '{"x": "10.1.2.33"}')),
    ]
    tool = {"type": "function", "function": {"name": "a", "description": "ask ann@corp.io"}}
    transcript = Transcript("t", messages, [tool], {"extra": {"cwd": "/home/quillon"}, "cluster": "ann@corp.io"})
    found = SCRUB.findings(transcript)
    assert [(f.kind, f.place, f.what) for f in found] == [
        ("email", "message 0", "bob@corp.io"),
        ("github", "message 0", "ghp_…"),
        ("ip", "message 1 call 2 arguments", "10.1.2.33"),
        ("email", "tools", "ann@corp.io"),
        ("home", "metadata.extra.cwd", "quillon"),
        ("email", "metadata.cluster", "ann@corp.io"),
    ]
    text = body(SCRUB(transcript))
    assert all(f.pseudonym in text for f in found)
    assert SCRUB.findings(said("nothing")) == []


# -- properties -----------------------------------------------------------------------------------------------------

FRAGMENTS = st.one_of(
    st.sampled_from([item.before + item.value + item.after for seed in range(3) for item in items(seed)]),
    st.sampled_from([item.value for item in items(5)]),
    st.sampled_from(INNOCENT.split("\n")),
    st.sampled_from(["\\n", "\\", '"', "'", "/", ":", "=", "@", "-", "password=", "token: ", "://u:", "+1 "]),
    st.text(max_size=12),
    st.text(alphabet="0123456789abcAB.:-@/ ", max_size=24),
)
# Two values without anything between them may be seen as two others once one of them is replaced.
TEXTS = st.lists(st.tuples(FRAGMENTS, st.sampled_from([" ", "\n", ", ", '" "', "\\n", "; "])), max_size=6).map(
    lambda pairs: "".join(part for pair in pairs for part in pair)
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(TEXTS, min_size=1, max_size=4), TEXTS, TEXTS)
def test_scrubbing_twice_changes_nothing_more(texts: list[str], argument: str, deep: str) -> None:
    arguments = json.dumps({"command": argument, "deep": json.dumps([deep])})
    dirty = Transcript("t", [*said(*texts).messages, acting(tool_call("f", arguments))], [], {"extra": {"x": deep}})
    clean = SCRUB(dirty)
    assert SCRUB(clean) is clean
    new = json.loads(clean.messages[-1]["tool_calls"][0]["function"]["arguments"])
    assert list(new) == ["command", "deep"]
    assert isinstance(json.loads(new["deep"]), list)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_characters="@:=/\\", exclude_categories=["Nd", "Cs"]))))
def test_texts_without_anything_to_replace_come_back_as_the_same_object(texts: list[str]) -> None:
    transcript = said(*texts)
    assert SCRUB(transcript) is transcript


# -- the real set ---------------------------------------------------------------------------------------------------


def transcripts_of(path: Path) -> list[Transcript]:
    return [item.transcript for item in read(path) if isinstance(item, Located)]


def test_the_fake_secrets_of_a_real_session_are_found(real_transcripts: Path) -> None:
    (session,) = transcripts_of(real_transcripts / "claude-code" / "entire-31-b75032f0ff-0.jsonl")
    clean = SCRUB(session)
    secrets = Counter(clean.metadata["scrubbed"])
    assert secrets["aws_access_key"] == secrets["private_key"] == secrets["sendgrid"] == secrets["url_password"] == 1
    assert secrets["assignment"] == 2  # a password and an application key, both in shell form
    text = body(clean)
    prefixes: list[Callable[[str], Any]] = [
        re.compile(r"AKIA(?!SCRUBBED)[A-Z0-9]{16}").search,
        re.compile(r"SG\.(?![sS5][cC6][rR2])[\w-]{16}").search,
        re.compile(r"BEGIN OPENSSH PRIVATE KEY-----\\n(?![sS5][cC6][rR2][uU0])").search,
        re.compile(r"PASSWORD=(?!s[cC6])").search,
        re.compile(r"/Users/(?!nym)\w+").search,
    ]
    assert [search(text) for search in prefixes] == [None] * len(prefixes)


def test_real_transcripts_scrubbed_twice_are_the_same(real_transcripts: Path) -> None:
    for transcript in transcripts_of(real_transcripts / "claude-code")[:10]:
        clean = SCRUB(transcript)
        assert SCRUB(clean) is clean
