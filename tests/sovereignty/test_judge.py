"""The judge of the proof: what strace writes is read, and who was not declared is found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sovereignty.judge import Declared, judge
from tests.sovereignty.planted import LEAKS, Leak
from tests.sovereignty.trace import STRACE, Attempt, Peer, read_lines, read_trace

STORE = Peer("unix", "/data/store/valkey.sock")
ENGINE = Peer("inet", "127.0.0.1:40001")
DECLARED = Declared({STORE: "the store", ENGINE: "the engine"})

RECORDED = """\
100 execve("/srv/.venv/bin/dolly", ["/srv/.venv/bin/dolly", "local"], 0x7ffd /* 30 vars */) = 0
100 socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 5
100 connect(5, {sa_family=AF_UNIX, sun_path="/data/store/valkey.sock"}, 26) = 0
100 sendto(5, "*1\\r\\n$4\\r\\nPING\\r\\n", 14, 0, NULL, 0) = 14
100 clone3({flags=CLONE_VM, exit_signal=SIGCHLD}, 88 <unfinished ...>
100 <... clone3 resumed>) = 101
101 execve("/usr/bin/python3", ["python3", "-m", "bot.local.llama_server", "/m.gguf", "--port", "40001"], 0x1) = 0
101 socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE) = 3
101 bind(3, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 0
101 sendto(3, [{nlmsg_len=20, nlmsg_type=RTM_GETADDR}], 20, 0, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=0}, 12) = 20
101 bind(4, {sa_family=AF_INET, sin_port=htons(40001), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
100 connect(7, {sa_family=AF_INET, sin_port=htons(40001), sin_addr=inet_addr("127.0.0.1")}, 16 <unfinished ...>
101 accept4(4, {sa_family=AF_INET, sin_port=htons(51000), sin_addr=inet_addr("127.0.0.1")}, [16], 0) = 5
100 <... connect resumed>)            = -1 EINPROGRESS (Operation now in progress)
100 recvfrom(7, "", 1, 0, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("192.0.2.1")}, [16]) = 0
"""


def judged(lines: str, declared: Declared = DECLARED) -> tuple[list[str], list[str]]:
    found = judge(read_lines(lines.splitlines()), declared)
    return [one.peer.name for one in found.foreign], [one.peer.name for one in found.dns]


def test_whom_dolly_may_reach() -> None:
    trace = read_lines(RECORDED.splitlines())
    found = judge(trace, DECLARED)
    assert (found.foreign, found.dns, found.unseen, found.kernel) == ([], [], [], 1)
    assert found.declared == {STORE: 1, ENGINE: 1}
    assert found.programs == ["dolly local", "python3 -m bot.local.llama_server m.gguf"]
    assert found.processes == 2


def test_what_is_not_declared_is_foreign_though_it_failed() -> None:
    assert judged(RECORDED, Declared({ENGINE: ""})) == (["/data/store/valkey.sock"], [])
    assert judged(RECORDED, Declared({STORE: ""})) == (["127.0.0.1:40001"], [])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ('connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.7")}, 16) = -1 ENETUNREACH',
         "192.0.2.7:443"),
        ('sendto(3, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(514), sin_addr=inet_addr("192.0.2.7")}, 16) = -1 E',
         "192.0.2.7:514"),
        ('connect(3, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, '
         '"2001:db8::7", &sin6_addr), sin6_scope_id=0}, 28 <unfinished ...>', "[2001:db8::7]:443"),
        ('sendmsg(3, {msg_name={sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("192.0.2.7")}, '
         'msg_namelen=16, msg_iov=[{iov_base="x", iov_len=1}], msg_iovlen=1}, 0) = -1 ENETUNREACH', "192.0.2.7:9"),
        ('connect(3, {sa_family=AF_UNIX, sun_path=@"/tmp/dbus"}, 12) = 0', "@/tmp/dbus"),
        ('connect(3, {sa_family=AF_VSOCK, svm_cid=2, svm_port=1}, 16) = 0', "AF_VSOCK"),
    ],
)  # fmt: skip
def test_each_way_to_name_somebody(call: str, name: str) -> None:
    assert judged(f"7 {call}") == ([name], [])


@pytest.mark.parametrize(
    "call",
    [
        'connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("192.0.2.53")}, 16) = 0',
        'sendto(3, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(5353), sin_addr=inet_addr("224.0.0.251")}, 16) = 1',
        'connect(3, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT (No such file)',
        'connect(3, {sa_family=AF_UNIX, sun_path="/run/systemd/resolve/io.systemd.Resolve"}, 42) = 0',
    ],
)
def test_questions_for_names(call: str) -> None:
    foreign, dns = judged(f"7 {call}")
    assert not foreign
    assert len(dns) == 1


def test_several_addresses_in_one_call() -> None:
    one = '{msg_hdr={msg_name={sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("192.0.2.1")}, msg_namelen=16}}'
    assert judged(f"7 sendmmsg(3, [{one}, {one.replace('192.0.2.1', '192.0.2.2')}], 2, 0) = 2")[0] == [
        "192.0.2.1:1",
        "192.0.2.2:1",
    ]


def test_what_is_said_is_no_address() -> None:
    said = r'"{sa_family=AF_INET, sin_port=htons(1)} \"sun_path=\"/x"...'
    assert judged(f"7 sendto(3, {said}, 90, 0, NULL, 0) = 90") == ([], [])
    to = 'sin_port=htons(9), sin_addr=inet_addr("192.0.2.7")'
    assert judged(f"7 sendto(3, {said}, 90, 0, {{sa_family=AF_INET, {to}}}, 16) = 90") == (["192.0.2.7:9"], [])


def test_a_call_in_two_halves_is_read_whole() -> None:
    lines = """\
7 sendmmsg(3,  <unfinished ...>
8 connect(4, {sa_family=AF_UNIX, sun_path="/a"}, 5 <unfinished ...>
7 <... sendmmsg resumed>[{msg_hdr={msg_name={sa_family=AF_UNIX, sun_path="/b"}, msg_namelen=5}}], 1, 0) = 1
8 <... connect resumed>)                 = 0
"""
    assert judged(lines) == (["/a", "/b"], [])


def test_sockets_that_need_no_name() -> None:
    lines = """\
7 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3
7 socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE) = 3
7 socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) = 3
7 socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)) = 3
"""
    assert judged(lines) == (["AF_INET SOCK_RAW", "AF_PACKET SOCK_DGRAM"], [])


def test_a_way_that_the_tracer_does_not_see() -> None:
    assert judge(read_lines(["7 io_uring_setup(8, 0x7ffd) = 3"]), DECLARED).unseen == ["?"]


def test_a_thread_is_known_by_its_process() -> None:
    lines = [
        '7 execve("/bin/x", ["x", "y"], 0x1 /* 2 */) = 0',
        "7 clone(child_stack=NULL) = 8",
        "8 connect(1, {sa_family=AF_X}",
    ]
    assert read_lines(lines).attempts == [Attempt(8, "x y", "connect", Peer("other", "AF_X"))]


def test_a_child_that_is_sooner_than_its_parent() -> None:
    lines = [
        '7 execve("/x", ["x"], 0x1 /* 2 */) = 0',
        "7 clone3({} <unfinished ...>",
        "8 socket(AF_UNIX, SOCK_STREAM, 0) = 3",
    ]
    assert read_lines([*lines, "7 <... clone3 resumed>, 88) = 8"]).programs == {7: "x", 8: "x"}


def _can_watch() -> bool:
    if shutil.which("strace") is None or shutil.which("unshare") is None:
        return False
    command = [
        "unshare",
        "--net",
        *([] if os.geteuid() == 0 else ["--map-root-user"]),
        *STRACE,
        "-o",
        os.devnull,
        "true",
    ]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not _can_watch(), reason="strace or network namespaces are not to be had here")
@pytest.mark.parametrize("leak", LEAKS, ids=[leak.name for leak in LEAKS])
def test_a_planted_leak_is_caught(leak: Leak, tmp_path: Path) -> None:
    unshare = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    subprocess.run([*unshare, *STRACE, f"--output={tmp_path / 'trace'}", "--", *leak.command], timeout=60)
    found = judge(read_trace(tmp_path / "trace"), DECLARED)
    assert leak.evidence(found)
    assert len(found.foreign) + len(found.dns) > 0
    subprocess.run(
        [*unshare, *STRACE, f"--output={tmp_path / 'quiet'}", "--", sys.executable, "-c", "pass"], timeout=60
    )
    assert not leak.evidence(judge(read_trace(tmp_path / "quiet"), DECLARED))
