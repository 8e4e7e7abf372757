"""What a command may change is never told too small."""

import pytest

from simulators.shell.effects import effects


@pytest.mark.parametrize(
    "command",
    [
        "cat a | grep -n x | head -5",
        "sed -n '1,5p' f 2>/dev/null",
        "ls -la > /dev/null 2>&1",
        "for f in a b; do cat $f; done",
        "find . -name '*.py' -exec grep -l x {} \\;",
        "find . -name x | xargs grep y",
        "git status && git log -3 | cat",
        "git -C sub diff",
        "git branch -a",
        "awk '{print $1}' f",
        "cat <<< x",
        "command -v python",
        "bash -lc 'cat a'",
        "timeout -k 5 10 ls",
        "python --version",
    ],
)
def test_reading_changes_nothing(command: str) -> None:
    found = effects(command, "/w")
    assert found.reads_only
    assert found.cwd == "/w"


@pytest.mark.parametrize(
    ("command", "writes"),
    [
        ("cd a && rm b", {"/w/a/b"}),
        ("cd a; rm b", {"/w/a/b", "/w/b"}),
        ("(cd a && touch b) && touch c", {"/w/a/b", "/w/c"}),
        ("cd /x && git add -A && git commit -m y", {"/x/.git"}),
        ("echo x > f 2>&1", {"/w/f"}),
        ("cat > 'a b' <<'E'\nx\nE", {"/w/a b"}),
        ("echo x | tee -a f", {"/w/f"}),
        ("while read l; do echo; done < f > out", {"/w/out"}),
        ("if [ -f a ]; then rm a; fi", {"/w/a"}),
        ("f() { rm a; }", {"/w/a"}),
        ("echo $(rm a) `rm b`", {"/w/a", "/w/b"}),
        ("diff <(rm x) y", {"/w/x"}),
        ("rm src/*.pyc", {"/w/src"}),
        ("rm -r src/$X", {"/w/src"}),
        ("mkdir -p a/{b,c}", {"/w/a/b", "/w/a/c"}),
        ("rm ~/x", {"/h/x"}),
        ("rm '~/x'", {"/w/~/x"}),
        ("mv a ../b", {"/w/a", "/b"}),
        ("cp a b c", {"/w/c"}),
        ("cp -t d a", {"/w/d", "/w/a"}),
        ("sed -i.bak p f", {"/w/f", "/w/f.bak", "/w/p", "/w/p.bak"}),
        ("sed -ni p f", {"/w/f", "/w/p"}),
        ("sort -o f f", {"/w/f"}),
        ("sort -ruof.txt a", {"/w/f.txt", "/w/a"}),
        ("sort a -o f", {"/w/f", "/w/a"}),
        ("uniq a b", {"/w/b"}),
        ("xxd -r a b", {"/w/b"}),
        ("bash -c 'cd a && rm b'", {"/w/a/b"}),
        ("env A=1 nice -n 5 timeout 3 rm x", {"/w/x"}),
        ("find a b -name x -delete", {"/w/a", "/w/b"}),
        ("find a -exec rm {} +", {"/w/a"}),
        ("dd if=a of=b", {"/w/b"}),
        ("git checkout -- f", {"/w"}),
        ("cd sub && git stash", {"/w"}),
        ("git -C /y reset --hard", {"/y"}),
        ("git branch new", {"/w/.git"}),
        ("gofmt -w a.go", {"/w/a.go"}),
        ("prettier --write src/a.ts", {"/w/src/a.ts"}),
        ("curl -o f http://x", {"/w", "/w/f", "/w/http:/x"}),
        ("apply_patch <<'P'\n*** Begin Patch\n*** Update File: a.c\n*** Move to: b.c\n*** End Patch\nP",
         {"/w/a.c", "/w/b.c"}),
    ],
)  # fmt: skip
def test_writes_are_resolved_where_they_stand(command: str, writes: set[str]) -> None:
    assert effects(command, "/w", "/h").writes == writes


@pytest.mark.parametrize(
    "command",
    [
        "python x.py",
        "python - <<'E'\nx\nE",
        "python -c 'x'",
        "./run.sh",
        "$CMD x",
        "rm $X",
        "rm -rf \"$DIR/x\"",
        "cat a | xargs rm",
        "for f in a b; do rm $f; done",
        "npm install",
        "npm run format",
        "npm run lint -- --fix",
        "mise run fmt",
        "black .; python x",
        "sed 's/a/b/w out' f",
        "sort $OPTIONS f",
        "awk '{print > \"x\"}' f",
        "bash script.sh",
        "bash -c \"$X\"",
        "eval rm x",
        "source x",
        "echo 'open",
        "sleep 1 &",
        "a=(1 2)",
        "tar xf a.tar",
        "alias ls=rm",
        "pytest -u",
        "git frobnicate",
        "make",
        "make test",
        "make -j4 -C sub build",
        "cmake --build out",
        "git diff --output=f",
    ],
)  # fmt: skip
def test_what_cannot_be_seen_into_may_change_anything(command: str) -> None:
    assert effects(command, "/w").writes is None


@pytest.mark.parametrize(
    "command",
    ["pytest -x", "npm test", "pnpm --filter web run test:unit", "npx tsc --noEmit", "go test -run X ./...",
     "python -m pytest", "make -n all", "ruff check .", "cargo build", "mise run lint && mise run test"],
)  # fmt: skip
def test_builds_and_tests_leave_sources(command: str) -> None:
    found = effects(command, "/w")
    assert found.writes == frozenset()
    assert found.entries
    assert not found.reads_only


@pytest.mark.parametrize(
    ("command", "cwd"),
    [
        ("cd a && cd ../b", "/w/b"),
        ("cd /x; ls", "/x"),
        ("(cd a)", "/w"),
        ("cd a | cat", "/w"),
        ("{ cd a; }", "/w/a"),
        ("cd", "/h"),
        ("cd ~/x", "/h/x"),
        ("cd -", None),
        ("cd $X", None),
        ("for d in a b; do cd $d; done", None),
        ("pushd a && popd", None),
    ],
)
def test_the_working_directory_afterwards(command: str, cwd: str | None) -> None:
    assert effects(command, "/w", "/h").cwd == cwd


@pytest.mark.parametrize(
    "command", ["xargs -I{} sh -c 'echo > {}'", "xargs -i sh -c 'rm {}'", "xargs -IX sh -c 'rm X'", "shuf -o f a",
                "make -f - all"],
)  # fmt: skip
def test_what_is_put_in_later_may_name_anything(command: str) -> None:
    assert effects(command, "/w").writes is None


def test_links_are_told() -> None:
    assert effects("cd a && ln -s b c", "/w").links
    assert not effects("cp a b; ls -l", "/w").links


def test_a_directory_that_is_not_known_stays_so() -> None:
    assert effects("cd a && rm b", None).writes == {"/?/a/b"}
    assert effects("ls", None).cwd is None
    assert effects("cd a", None).cwd == "/?/a"
    assert effects("cd $X && rm b", None).writes is None
    assert effects("cd /a", None).cwd == "/a"


@pytest.mark.parametrize("command", ["date", "ps aux | grep x", "curl http://x", "sleep 1", "echo $RANDOM", "time ls",
                                     "git fetch", "pytest", "mktemp", "(date)", "echo $(date)"])  # fmt: skip
def test_what_depends_on_the_moment_is_volatile(command: str) -> None:
    assert effects(command, "/w").volatile
    assert not effects("ls", "/w").volatile
