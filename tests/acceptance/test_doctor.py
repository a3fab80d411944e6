"""`feishu-ws doctor` in worlds that are really broken: each names its fault, and none is made worse.

Every world is a real process in it. All run at once, some behind a network or a file
system of their own; what they said is then looked at one by one.
"""

import asyncio
import contextlib
import datetime as dt
import fcntl
import ipaddress
import json
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from processes import APP_ID, APP_SECRET, ConsumerProcess, DaemonProcess, free_port
from support import eventually

from feishu_ws.simulator import corpus
from feishu_ws.simulator.door import refuse_handshake
from feishu_ws.simulator.load import pump
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

AT_ONCE = 10  # most of them wait for a deadline
PATIENCE_S = 40.0  # on a busy machine; deadlines add up to some 15 s
LOGIN = ("operator", "pl4nted-pw")
SECRETS = (APP_SECRET, "wr0ng-secret", LOGIN[1], "ticket=", "access_key=", "t-planted-token")
SILENT = "192.0.2.77"  # TEST-NET-1; in a network of its own nobody there answers

OWN_NETWORK = "ip link set lo up"
SILENCE = f"""
ip link add v0 type veth peer name v1
ip addr add 192.0.2.1/24 dev v0
ip link set v0 up
ip link set v1 up
ip neigh add {SILENT} lladdr 02:00:00:00:00:77 dev v0
"""
"""Packets to `SILENT` go out, and nothing comes back: what a firewall that drops looks like."""


@dataclass
class World:
    """How doctor is run, and what it has to say.

    Attributes:
        step: Where the first failure is, None where nothing fails.
        hint: Words of the one thing to do.
    """

    directory: object
    step: str | None = None
    fault: str | None = None
    exit: int = 0
    hint: str = ""
    seen: str = ""
    env: dict = field(default_factory=dict)
    words: tuple = ()
    prefix: tuple = ()

    def set(self, **keys):
        """Set configuration keys: `app__id` is app.id."""
        self.env |= {f"FEISHU_WS_{name}".upper(): str(value) for name, value in keys.items()}
        return self


@dataclass
class Said:
    """What a world's doctor said."""

    world: World
    code: int
    out: str
    err: str
    took_s: float

    @property
    def report(self):
        return json.loads(self.out)

    def step(self, name):
        """Return the line of a step."""
        (found,) = [each for each in self.report["steps"] if each["step"] == name]
        return found


def find(command, package):
    """Return where a command is; a test that cannot run must say so."""
    found = shutil.which(command)
    assert found, f"{command} is missing, expected the Debian package {package}"
    return found


def inside(script):
    """Return a command line that makes a network and a view of the files, and enters them."""
    find("ip", "iproute2")
    return (find("unshare", "util-linux"), "-mn", "sh", "-ec", script + '\nexec "$@"', "sh")


async def consult(world):
    """Run doctor in a world."""
    base = {k: v for k, v in os.environ.items() if not k.startswith("FEISHU_WS_")}
    base = {k: v for k, v in base.items() if not k.lower().endswith("_proxy")}
    defaults = World(world.directory).set(
        app__id=APP_ID,
        app__secret=APP_SECRET,
        journal__path=world.directory / "state" / "journal.db",
        socket__path=world.directory / "events.sock",
        telemetry__listen="",
    )
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *world.prefix,
        sys.executable,
        "-m",
        "feishu_ws",
        "doctor",
        "--json",
        *world.words,
        env=base | defaults.env | world.env,
        cwd=world.directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    took_s = time.monotonic() - began
    return Said(world, process.returncode, out.decode(), err.decode(), took_s)


# -- what worlds are made of ----------------------------------------------------------------


@contextlib.asynccontextmanager
async def feishu(world, **settings):
    """A simulated Feishu that the world points at."""
    async with Simulator(
        SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET, **settings)
    ) as running:
        world.set(app__domain=running.domain)
        yield running


@contextlib.asynccontextmanager
async def serving(handle, path=None):
    """A server on TCP, or on a Unix socket; yields its port."""
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        await handle(reader, writer)

    if path is None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
    else:
        server = await asyncio.start_unix_server(serve, path)
    async with server:
        yield server.sockets[0].getsockname()[1]
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.1)  # handlers end, transports close


@contextlib.asynccontextmanager
async def answering(pages, tls=None, websocket=None):
    """An HTTP server with JSON answers by path, and perhaps a WebSocket; yields its port."""
    app = web.Application()
    if websocket is not None:
        app.router.add_get("/ws/v2", websocket)
    for path, body in pages.items():

        async def handle(_, body=body):
            return web.json_response(body)

        app.router.add_post(path, handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield site._server.sockets[0].getsockname()[1]
    finally:
        await runner.cleanup()


def certificate(directory, *, host="127.0.0.1", days=(-1, 1)):
    """Return a server's context with a certificate signed by itself, and the file of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Corp Inspection CA")])
    now = dt.datetime.now(dt.UTC)
    try:
        shown = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        shown = x509.DNSName(host)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([shown]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = directory / "cert.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = directory / "key.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(public, private)
    return context, public


@contextlib.contextmanager
def listening(port, *command):
    """A server process that listens on `port` by the time it is yielded."""
    with subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until = time.monotonic() + 10
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                assert time.monotonic() < until, command
                time.sleep(0.02)
            yield port
        finally:
            process.kill()


def tinyproxy(directory, *lines):
    """A tinyproxy with these lines in its configuration."""
    port, config = free_port(), directory / "tinyproxy.conf"
    config.write_text("\n".join([f"Port {port}", "Listen 127.0.0.1", "Timeout 60", *lines, ""]))
    return listening(port, find("tinyproxy", "tinyproxy"), "-d", "-c", config)


def microsocks(*words):
    """A microsocks with these arguments."""
    port = free_port()
    return listening(port, find("microsocks", "microsocks"), "-i", "127.0.0.1", "-p", port, *words)


# -- worlds ---------------------------------------------------------------------------------

WORLDS = {}


def world(**expected):
    """Register a world; its function prepares it and yields."""

    def register(prepare):
        WORLDS[prepare.__name__] = (contextlib.asynccontextmanager(prepare), expected)
        return prepare

    return register


@world()
async def healthy(w):
    async with feishu(w):
        yield


@world(step="discovery", fault="credentials_refused", exit=77, seen="1000040345")
async def wrong_secret(w):
    async with feishu(w):
        yield w.set(app__secret="wr0ng-secret")


@world(step="discovery", fault="credentials_refused", exit=77, seen="1000040346")
async def wrong_id(w):
    async with feishu(w):
        yield w.set(app__id="cli_0000000000000000")


@world(step="discovery", fault="credentials_refused", exit=77, seen="code 10014")
async def secret_refused_twice(w):
    pages = {
        "/callback/ws/endpoint": {"code": 1000040345, "msg": "app_id or app_secret is invalid"},
        "/open-apis/auth/v3/tenant_access_token/internal": {"code": 10014, "msg": "invalid"},
    }
    async with answering(pages) as port:
        yield w.set(app__domain=f"http://127.0.0.1:{port}")


@world(step="discovery", fault="access_refused", exit=77, hint="publish", seen="tenant token")
async def app_not_published(w):
    pages = {
        "/callback/ws/endpoint": {"code": 1000040345, "msg": "app_id or app_secret is invalid"},
        "/open-apis/auth/v3/tenant_access_token/internal": {
            "code": 0,
            "tenant_access_token": "t-planted-token",
        },
    }
    async with answering(pages) as port:
        yield w.set(app__domain=f"http://127.0.0.1:{port}")


def refusing(name, code, fault, exit_code):
    """Register a world where discovery is answered with a code of Feishu's."""

    async def prepare(w):
        async with feishu(w) as running:
            running.refuse_discovery(code)
            yield

    prepare.__name__ = name
    world(step="discovery", fault=fault, exit=exit_code, seen=str(code))(prepare)


refusing("long_connection_off", 403, "access_refused", 77)
refusing("app_forbidden", 514, "access_refused", 77)
refusing("limit_reached", 1000040350, "connection_limit", 69)
refusing("feishu_is_busy", 1000040351, "feishu_busy", 69)
refusing("unheard_of", 424242, "refused_unknown", 69)


@world(step="discovery", fault="rate_limited", exit=69, seen="wait 7 s")
async def too_many_requests(w):
    async with feishu(w) as running:
        headers = {"x-ogw-ratelimit-reset": "7"}
        running.answer_discovery(b"{}", http_status=429, headers=headers)
        yield


@world(step="discovery", fault="discovery_failed", exit=69, seen="HTTP 502")
async def bad_gateway(w):
    async with feishu(w) as running:
        running.refuse_discovery(http_status=502)
        yield


@world(step="discovery", fault="discovery_malformed", exit=69, hint="captive portal")
async def captive_portal(w):
    async with feishu(w) as running:
        running.answer_discovery(b"<html>please log in</html>")
        yield


@world(step="discovery", fault="connect_timeout", exit=69, seen="said nothing")
async def discovery_hangs(w):
    async with feishu(w) as running:
        running.hang_discovery(60)
        yield


@world(step="clock", fault="clock_stepped", exit=69, seen="600 s", hint="timedatectl")
async def clock_ten_minutes_behind(w):
    async with feishu(w) as running:
        running.door.date_offset_s = 600
        yield


@world(step="clock", fault="clock_stepped", exit=69, seen="ahead of")
async def clock_ten_minutes_ahead(w):
    async with feishu(w) as running:
        running.door.date_offset_s = -600
        yield


@world(step="dns", fault="dns_failed", exit=69, seen="nameserver 127.0.0.1")
async def dns_dead(w):
    (w.directory / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    w.prefix = inside(f"{OWN_NETWORK}\nmount --bind {w.directory}/resolv.conf /etc/resolv.conf")
    yield


@world(step="dns", fault="dns_failed", exit=69, seen=f"no answer in 5.0 s from nameserver {SILENT}")
async def dns_black_hole(w):
    (w.directory / "resolv.conf").write_text(f"nameserver {SILENT}\n")
    mount = f"mount --bind {w.directory}/resolv.conf /etc/resolv.conf"
    w.prefix = inside(f"{OWN_NETWORK}\n{SILENCE}\n{mount}")
    yield


@world(step="tcp", fault="connect_timeout", exit=69, seen="silent", hint="firewall")
async def port_filtered(w):
    w.prefix = inside(f"{OWN_NETWORK}\n{SILENCE}")
    yield w.set(app__domain=f"https://{SILENT}")


@world(step="tcp", fault="connect_failed", exit=69, seen="refused")
async def port_closed(w):
    yield w.set(app__domain=f"https://127.0.0.1:{free_port()}")


@world(step="tcp", fault="connect_failed", exit=69, seen="unreachable", hint="ip route")
async def no_route(w):
    w.prefix = inside(OWN_NETWORK)
    yield w.set(app__domain=f"https://{SILENT}")


@world(step="tcp", fault="connect_failed", exit=69, hint='upstream.proxy = "env"')
async def proxy_forgotten(w):
    w.prefix = inside(OWN_NETWORK)
    w.env["https_proxy"] = "http://proxy.example:3128"
    yield w.set(app__domain=f"https://{SILENT}")


@world(step="tls", fault="tls_failed", exit=69, seen="Corp Inspection CA", hint="upstream.ca_file")
async def tls_intercepted(w):
    context, _ = certificate(w.directory)
    async with answering({}, context) as port:
        yield w.set(app__domain=f"https://127.0.0.1:{port}")


@world(step="tls", fault="tls_failed", exit=69, seen="expired", hint="timedatectl")
async def certificate_expired(w):
    context, public = certificate(w.directory, days=(-20, -10))
    async with answering({}, context) as port:
        yield w.set(app__domain=f"https://127.0.0.1:{port}", upstream__ca_file=public)


@world(step="tls", fault="tls_failed", exit=69, seen="elsewhere.example", hint="/etc/hosts")
async def certificate_of_another(w):
    context, public = certificate(w.directory, host="elsewhere.example")
    async with answering({}, context) as port:
        yield w.set(app__domain=f"https://127.0.0.1:{port}", upstream__ca_file=public)


@world(step="tls", fault="tls_failed", exit=69, seen="speaks no TLS")
async def no_tls_at_all(w):
    async with feishu(w) as running:
        yield w.set(app__domain=f"https://{running.authority}")


async def say_nothing(reader, writer):
    """Take whatever comes until the other side has enough."""
    with contextlib.suppress(OSError):
        while await reader.read(4096):
            pass


@world(step="tls", fault="tls_failed", exit=69, seen="cut the connection")
async def tls_cut(w):
    async def cut(reader, writer):
        await reader.read(1)
        writer.transport.abort()

    async with serving(cut) as port:
        yield w.set(app__domain=f"https://127.0.0.1:{port}")


@world(step="tls", fault="connect_timeout", exit=69, seen="said nothing", hint="MTU")
async def tls_silent(w):
    async with serving(say_nothing) as port:
        yield w.set(app__domain=f"https://127.0.0.1:{port}")


@world(step="tls", fault="config_invalid", exit=78, seen="upstream.ca_file")
async def anchor_is_junk(w):
    (w.directory / "junk.pem").write_text("this is no certificate\n")
    async with serving(say_nothing) as port:
        w.set(upstream__ca_file=w.directory / "junk.pem")
        yield w.set(app__domain=f"https://127.0.0.1:{port}")


@world(step="link", fault="connect_failed", exit=69, seen="gateway")
async def gateway_out_of_reach(w):
    url = f"ws://127.0.0.1:{free_port()}/ws/v2?service_id=1"
    async with feishu(w) as running:
        running.answer_discovery(json.dumps({"code": 0, "data": {"URL": url}}).encode())
        yield


@world()
async def encrypted(w):
    context, public = certificate(w.directory)
    answer = {"code": 0, "msg": "ok", "data": {"URL": ""}}
    async with answering({"/callback/ws/endpoint": answer}, context) as port:
        answer["data"]["URL"] = f"wss://127.0.0.1:{port}/ws?service_id=1&ticket=t&access_key=k"
        yield w.set(app__domain=f"https://127.0.0.1:{port}", upstream__ca_file=public)


@world(step="tcp", fault="proxy_failed", exit=69, seen="refused", hint="start the proxy")
async def proxy_refusing(w):
    async with feishu(w):
        yield w.set(upstream__proxy=f"http://127.0.0.1:{free_port()}")


@world(step="proxy", fault="proxy_failed", exit=69, seen="403", hint="allow CONNECT")
async def proxy_forbids(w):
    async with feishu(w):
        with tinyproxy(w.directory, "ConnectPort 443") as port:
            yield w.set(upstream__proxy=f"http://127.0.0.1:{port}")


@world(step="proxy", fault="proxy_failed", exit=69, hint="USER:PASSWORD")
async def proxy_wants_login(w):
    async with feishu(w):
        with tinyproxy(w.directory, "BasicAuth {} {}".format(*LOGIN)) as port:
            yield w.set(upstream__proxy=f"http://127.0.0.1:{port}")


@world(step="proxy", fault="proxy_failed", exit=69, hint="USER:PASSWORD")
async def proxy_wants_another_login(w):
    async with feishu(w):
        with tinyproxy(w.directory, "BasicAuth operator something-else") as port:
            yield w.set(upstream__proxy=f"http://{LOGIN[0]}:{LOGIN[1]}@127.0.0.1:{port}")


@world(step="proxy", fault="proxy_failed", exit=69, hint="USER:PASSWORD")
async def socks_wants_login(w):
    async with feishu(w):
        with microsocks("-u", LOGIN[0], "-P", "something-else") as port:
            yield w.set(upstream__proxy=f"socks5://127.0.0.1:{port}")


@world(step="proxy", fault="proxy_failed", exit=69, seen="SSH-2.0", hint="scheme and port")
async def proxy_is_none(w):
    async def greet(_, writer):
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    async with feishu(w), serving(greet) as port:
        yield w.set(upstream__proxy=f"http://127.0.0.1:{port}")


@world(step="proxy", fault="connect_timeout", exit=69, seen="said nothing")
async def proxy_silent(w):
    async with feishu(w), serving(say_nothing) as port:
        yield w.set(upstream__proxy=f"http://127.0.0.1:{port}")


@world(step="proxy", fault="config_invalid", exit=78, seen="expected http://")
async def proxy_of_another_kind(w):
    async with feishu(w):
        w.env["http_proxy"] = f"https://{LOGIN[0]}:{LOGIN[1]}@proxy.example:3129"
        yield w.set(upstream__proxy="env")


@world()
async def proxy_passed_by(w):
    async with feishu(w):
        w.env["NO_PROXY"] = "127.0.0.1"
        yield w.set(upstream__proxy=f"http://127.0.0.1:{free_port()}")


@world()
async def through_a_proxy(w):
    async with feishu(w):
        with tinyproxy(w.directory, "BasicAuth {} {}".format(*LOGIN)) as port:
            yield w.set(upstream__proxy=f"http://{LOGIN[0]}:{LOGIN[1]}@127.0.0.1:{port}")


@world(step="journal", fault="journal_io", exit=74, seen="permission denied", hint="chown")
async def journal_unwritable(w):
    state = w.directory / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    without = "--bounding-set=-dac_override,-dac_read_search"  # root that is no exception
    w.prefix = (find("setpriv", "util-linux"), without)
    async with feishu(w):
        yield


@world(step="journal", fault="journal_read_only", exit=74, hint="remount")
async def journal_read_only(w):
    state = w.directory / "state"
    state.mkdir()
    script = f'mount -t tmpfs -o ro none {state}\nexec "$@"'
    w.prefix = (find("unshare", "util-linux"), "-m", "sh", "-ec", script, "sh")
    async with feishu(w):
        yield


@world(step="journal", fault="disk_full", exit=74, hint="free space")
async def disk_full(w):
    state = w.directory / "state"
    state.mkdir()
    fill = f"head -c 1m /dev/zero > {state}/ballast 2>/dev/null || true"
    script = f'mount -t tmpfs -o size=64k none {state}\n{fill}\nexec "$@"'
    w.prefix = (find("unshare", "util-linux"), "-m", "sh", "-ec", script, "sh")
    async with feishu(w):
        yield


@world(step="journal", fault="journal_locked", exit=75, seen="process")
async def journal_locked(w):
    state = w.directory / "state"
    state.mkdir()
    with (state / "journal.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with feishu(w):
            yield


@world(step="journal", fault="journal_version", exit=78, seen="99")
async def journal_newer(w):
    state = w.directory / "state"
    state.mkdir()
    with contextlib.closing(sqlite3.connect(state / "journal.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    async with feishu(w):
        yield


@world(step="journal", fault="journal_corrupt", exit=74)
async def journal_corrupt(w):
    state = w.directory / "state"
    state.mkdir()
    (state / "journal.db").write_bytes(b"not a database" * 1000)
    async with feishu(w):
        yield


@world(step="socket", fault="socket_in_use", exit=75, seen="listens on")
async def socket_taken(w):
    async with feishu(w), serving(say_nothing, w.directory / "events.sock"):
        yield


@world(step="socket", fault="socket_failed", exit=78, seen="no socket")
async def socket_is_a_file(w):
    (w.directory / "events.sock").write_text("")
    async with feishu(w):
        yield


@world(step="socket", fault="daemon_unreachable", exit=69, seen="left by a crash", hint="log")
async def socket_left_by_a_crash(w):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(w.directory / "events.sock"))
        listener.listen()
    async with feishu(w):
        yield


@world(step="http", fault="port_in_use", exit=75, seen="taken by process")
async def port_taken(w):
    async with feishu(w), serving(say_nothing) as port:
        yield w.set(telemetry__listen=f"127.0.0.1:{port}")


@world(step="config", fault="config_invalid", exit=78, seen="unknown variable")
async def config_with_a_typo(w):
    async with feishu(w):
        yield w.set(upstream__conections=2)


@world(step="config", fault="config_invalid", exit=78, hint="SECRET_FILE")
async def no_secret(w):
    async with feishu(w):
        yield w.set(app__secret="")


@world(step="link", fault="connection_limit", exit=69, seen="1000040350")
async def handshake_limit(w):
    w.words = ("--connect",)
    async with feishu(w) as running:
        refusal = refuse_handshake("too many", 1000040350)
        running.refuse_handshake(refusal.status, refusal.headers)
        yield


@world(step="link", fault="access_refused", exit=77, seen="403")
async def handshake_forbidden(w):
    w.words = ("--connect",)
    async with feishu(w) as running:
        running.refuse_handshake(403, {"Handshake-Status": "403", "Handshake-Msg": "no"})
        yield


@world(step="link", fault="closed_by_feishu", exit=69)
async def closed_before_the_pong(w):
    w.words = ("--connect",)

    async def close(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.close(code=1013)
        return ws

    async with feishu(w) as running, answering({}, websocket=close) as port:
        url = f"ws://127.0.0.1:{port}/ws/v2?service_id=1"
        running.answer_discovery(json.dumps({"code": 0, "data": {"URL": url}}).encode())
        yield


@world(step="socket", fault="daemon_unreachable", exit=69, hint="hangs")
async def daemon_hangs(w):
    async with feishu(w) as running:
        with DaemonProcess(w.directory, running.domain) as daemon:
            await asyncio.to_thread(daemon.start)
            daemon.process.send_signal(signal.SIGSTOP)
            listen = f"127.0.0.1:{daemon.port}"
            yield w.set(journal__path=w.directory / "journal.db", telemetry__listen=listen)
            daemon.process.send_signal(signal.SIGCONT)


# -- what they said -------------------------------------------------------------------------


async def visit(name, directory, gate):
    """Make a world, consult doctor in it, and leave nothing."""
    prepare, expected = WORLDS[name]
    there = World(directory, **expected)
    directory.mkdir()
    async with gate, prepare(there):
        return await consult(there)


async def visit_all(directory):
    """Visit every world, several at once; one that could not be made is its error."""
    gate = asyncio.Semaphore(AT_ONCE)
    visits = (visit(name, directory / name, gate) for name in WORLDS)
    told = await asyncio.gather(*visits, return_exceptions=True)
    return dict(zip(WORLDS, told, strict=True))


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """A function that returns what doctor said in a world."""
    all_of_them = asyncio.run(visit_all(tmp_path_factory.mktemp("worlds")))

    def look_up(name):
        told = all_of_them[name]
        if isinstance(told, BaseException):
            raise told
        return told

    return look_up


def test_there_are_enough_worlds():
    """Twenty ways to be broken, at the least."""
    assert sum("fault" in expected for _, expected in WORLDS.values()) >= 20


@pytest.mark.parametrize("name", WORLDS)
def test_the_fault_is_named(said, name):
    """The first failure is where it is broken, with the right word, exit code and advice."""
    told = said(name)
    world, report = told.world, told.report
    assert told.err == ""
    found = (report["step"], report["fault"], report["exit"], told.code)
    assert found == (world.step, world.fault, world.exit, world.exit), told.out
    if world.step is not None:
        line = told.step(world.step)
        assert world.seen in line["seen"]
        assert world.hint in line["try"]
        assert line["try"] == report["try"]


@pytest.mark.parametrize("name", WORLDS)
def test_nothing_secret_is_told(said, name):
    """No secret, password, token or ticket is in what it prints."""
    told = said(name)
    for secret in SECRETS:
        assert secret not in told.out + told.err


def test_it_ends_in_time(said):
    """No world holds it longer than some deadlines, not even one that answers nothing."""
    assert {name: said(name).took_s for name in WORLDS if said(name).took_s > 25} == {}


def test_what_cannot_be_told_names_why(said):
    """Steps behind a failure are skipped and say because of what."""
    told = said("dns_dead")
    assert [told.step(name)["seen"] for name in ("tcp", "tls", "discovery")] == ["dns failed"] * 3
    assert told.step("journal")["state"] == "ok"


def test_a_daemon_that_hangs_has_its_own_port(said):
    """That it is taken is no fault of its own."""
    line = said("daemon_hangs").step("http")
    assert (line["state"], "the daemon itself" in line["seen"]) == ("skip", True)


def test_what_is_well_is_told_with_figures(said):
    """A certificate's issuer, a proxy that was passed by, and a gateway that was reached."""
    assert "Corp Inspection CA" in said("encrypted").step("tls")["seen"]
    assert "NO_PROXY names 127.0.0.1" in said("proxy_passed_by").step("proxy")["seen"]
    assert "opens the way" in said("through_a_proxy").step("proxy")["seen"]
    assert "gateway is reached" in said("healthy").step("link")["seen"]
    assert said("healthy").step("clock")["facts"]["source"] == "Feishu's clock"


# -- beside a daemon ------------------------------------------------------------------------


async def test_beside_a_daemon_it_takes_no_event(tmp_path):
    """Under load, and even with --connect: no link of its own, no event missing or twice."""
    settings = SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET, keep_log=True)
    async with Simulator(settings) as running:
        with (
            DaemonProcess(tmp_path, running.domain) as daemon,
            ConsumerProcess(tmp_path, daemon.socket_path) as consumer,
        ):
            await asyncio.to_thread(daemon.start)
            consumer.start()
            await running.wait_for_links(2, 15)
            await eventually(lambda: daemon.status()["consumers"], 10)
            load = asyncio.create_task(pump(running, 200, seconds=8, settle_s=20))
            there = World(tmp_path, words=("--connect",))
            there.set(app__domain=running.domain, journal__path=tmp_path / "journal.db")
            there.set(telemetry__listen=f"127.0.0.1:{daemon.port}")
            told = [await consult(there) for _ in range(3)]
            await load
            pushed = running.stats.as_dict()["pushed"]
            await eventually(lambda: len(consumer.received()) >= pushed, 20)
            opened = running.stats.as_dict()["links_opened"]
            received = consumer.received()

    assert opened == 2
    assert received == list(range(1, pushed + 1))
    assert all(running.log.values())
    for each in told:
        assert (each.code, each.report["fault"]) == (0, None), each.out
        assert each.step("link")["facts"] == {"live": 2, "wanted": 2}
        assert each.step("socket")["facts"]["pid"] == daemon.process.pid
        assert each.step("journal")["state"] == "ok"
        assert each.step("http")["state"] == "ok"
        assert "1 of 1 connected" in each.step("consumers")["seen"]


async def test_alone_it_opens_a_link_only_when_told_to(tmp_path):
    """Without --connect none; with it one, which confirms nothing and is closed after the pong."""
    settings = SimulatorSettings(
        app_id=APP_ID, app_secret=APP_SECRET, redelivery_s=(0.2,) * 100, keep_log=True
    )
    async with Simulator(settings) as running:
        waiting = running.push(corpus.text_message(0))
        there = World(tmp_path).set(app__domain=running.domain)
        without = await consult(there)
        opened_without = running.stats.as_dict()["links_opened"]
        there.words = ("--connect",)
        with_it = await consult(there)
        await running.wait_until(lambda: not running.links)
        counts = running.stats.as_dict()

    assert (without.code, with_it.code) == (0, 0)
    assert (opened_without, counts["links_opened"]) == (0, 1)
    assert "opened, answered and closed" in with_it.step("link")["seen"]
    assert not waiting.is_finished
    assert counts["confirmed"] == 0


async def test_a_link_is_not_opened_while_the_journal_is_owned(tmp_path):
    """A daemon whose socket is not known here still is one: --connect is refused."""
    async with Simulator(SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET)) as running:
        with DaemonProcess(tmp_path, running.domain) as daemon:
            await asyncio.to_thread(daemon.start)
            await running.wait_for_links(2, 15)
            there = World(tmp_path, words=("--connect",)).set(app__domain=running.domain)
            there.set(journal__path=tmp_path / "journal.db", socket__path=tmp_path / "other.sock")
            told = await consult(there)
            opened = running.stats.as_dict()["links_opened"]

    assert opened == 2
    assert told.step("link")["state"] == "skip"
    assert (told.code, told.report["fault"]) == (75, "journal_locked")


async def test_the_links_of_a_daemon_in_trouble(tmp_path):
    """Beside a daemon whose links are down the report says since when, why, and when again."""
    async with Simulator(SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET)) as running:
        running.refuse_handshake(403, {"Handshake-Status": "403", "Handshake-Msg": "no"})
        with DaemonProcess(tmp_path, running.domain) as daemon:
            await asyncio.to_thread(daemon.start)
            await eventually(lambda: daemon.log_lines("link.failed"), 15)
            there = World(tmp_path).set(app__domain=running.domain)
            told = await consult(there)

    assert (told.code, told.report["step"]) == (77, "link")
    assert told.report["fault"] == "access_refused"
    assert "0 of 2 live" in told.step("link")["seen"]
    assert "again in" in told.step("link")["seen"]


def test_it_leaves_a_stopped_journal_alone(tmp_path):
    """No file is made, changed or left beside the journal of a stopped daemon."""
    with DaemonProcess(tmp_path, "http://127.0.0.1:9") as daemon:
        daemon.start()
        daemon.stop()
    before = {path: path.read_bytes() for path in tmp_path.glob("journal.db*")}
    there = World(tmp_path).set(
        app__domain="http://127.0.0.1:9", journal__path=tmp_path / "journal.db"
    )
    told = asyncio.run(consult(there))

    assert told.step("journal")["state"] == "ok"
    assert {path: path.read_bytes() for path in tmp_path.glob("journal.db*")} == before


async def run_bare(directory, *words):
    """Run a command from a shell that has none of our settings; return code, stdout, stderr."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("FEISHU_WS_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "feishu_ws", *words,
        env=bare | {"HOME": str(directory)}, cwd=directory, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_from_a_shell_that_knows_nothing(tmp_path):
    """Beside a daemon that is well nothing is wrong; one that hangs is not to be started."""
    async with Simulator(SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET)) as running:
        with DaemonProcess(tmp_path, running.domain) as daemon:
            await asyncio.to_thread(daemon.start)
            await running.wait_for_links(2, 15)
            where = ("--socket", str(daemon.socket_path))
            code, out, _ = await run_bare(tmp_path, "doctor", "--json", *where)
            daemon.process.send_signal(signal.SIGSTOP)
            hung = await run_bare(tmp_path, "status", *where)
            daemon.process.send_signal(signal.SIGCONT)
            daemon.kill()
            died = await run_bare(tmp_path, "status", *where)

    report = json.loads(out)
    steps = {each["step"]: each for each in report["steps"]}
    assert (code, report["fault"]) == (0, None), out
    assert [steps[step]["state"] for step in ("dns", "tcp", "link", "daemon")] == ["ok"] * 4
    assert running.authority in steps["tcp"]["seen"]
    assert (hung[0], died[0]) == (69, 69)
    assert f"process {daemon.process.pid} (" in hung[2]
    assert "it hangs, restart it" in hung[2]
    assert "a daemon that died left it" in died[2]
