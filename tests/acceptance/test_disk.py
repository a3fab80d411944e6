"""Disks that are full, read-only or hang: 500 to Feishu, the links stay, nothing confirmed is lost."""

import asyncio
import contextlib
import json
import subprocess
import time
from pathlib import Path

import pytest
from processes import APP_ID, APP_SECRET, ConsumerProcess, DaemonProcess
from support import eventually

from feishu_ws.simulator import corpus
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

SOURCE = Path(__file__).parent / "bad_disk.c"


@contextlib.contextmanager
def small_disk(path, size="3m"):
    """A tmpfs of its own."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def simulator():
    """A Feishu that sends again every second what was refused."""
    return Simulator(
        SimulatorSettings(
            app_id=APP_ID, app_secret=APP_SECRET, redelivery_s=(1.0,) * 120, keep_log=True
        )
    )


def readiness(daemon):
    """Return (HTTP status, fault) of /readyz."""
    code, body = daemon.get("/readyz")
    return code, json.loads(body)["fault"]


async def check_all_delivered(feishu, daemon, consumer):
    """Everything pushed was confirmed in the end, and everything confirmed was delivered."""
    await feishu.wait_until_quiet(60)
    await eventually(lambda: daemon.status()["consumers"][0]["pending"] == 0, 30)
    seen = {event_id for kind, _, event_id in consumer.notes() if kind == "R"}
    confirmed = {event_id for event_id, is_confirmed in feishu.log.items() if is_confirmed}
    assert confirmed == set(feishu.log)
    assert confirmed <= seen


async def test_a_full_disk(tmp_path):
    """A full disk is answered 500 and shown, and heals by itself when there is space again."""
    with small_disk(tmp_path / "disk") as disk:
        async with simulator() as feishu:
            with (
                DaemonProcess(tmp_path, feishu.domain, journal__path=disk / "journal.db") as daemon,
                ConsumerProcess(tmp_path, daemon.socket_path) as consumer,
            ):
                await asyncio.to_thread(daemon.start)
                consumer.start()
                await feishu.wait_for_links(2, 15)
                first = feishu.push(corpus.text_message(0))
                assert await first.confirmed() == (200, None)

                (disk / "ballast").write_bytes(b"x" * (disk_free(disk) - 8192))
                refused = [feishu.push(corpus.text_message(n, size=60_000)) for n in range(1, 9)]
                codes = [(await delivery.confirmed(5))[0] for delivery in refused]
                assert set(codes) == {500}
                await eventually(lambda: readiness(daemon) == (503, "disk_full"), 5)
                assert len(feishu.links) == 2

                (disk / "ballast").unlink()
                await eventually(lambda: readiness(daemon) == (200, None), 10)
                await check_all_delivered(feishu, daemon, consumer)
    assert [line["fault"] for line in daemon.log_lines("journal.faulted")] == ["disk_full"]


async def push_evenly(feishu, events):
    """Push events, 40 a second, and wait for none."""
    for number in range(events):
        feishu.push(corpus.text_message(number, size=300))
        await asyncio.sleep(0.025)


async def test_a_tiny_disk(tmp_path):
    """One of 1 MiB heals, too, and an even stream of events does not fill it with its WAL."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        wal = disk / "journal.db-wal"
        async with simulator() as feishu:
            with (
                DaemonProcess(tmp_path, feishu.domain, journal__path=disk / "journal.db") as daemon,
                ConsumerProcess(tmp_path, daemon.socket_path) as consumer,
            ):
                await asyncio.to_thread(daemon.start)
                consumer.start()
                await feishu.wait_for_links(2, 15)
                pushing = asyncio.create_task(push_evenly(feishu, 160))
                await eventually(lambda: daemon.status()["journal"]["last"] >= 80, 10)
                before = wal.stat().st_size
                (disk / "ballast").write_bytes(b"x" * (disk_free(disk) - 8192))
                await eventually(lambda: readiness(daemon) == (503, "disk_full"), 5)

                (disk / "ballast").unlink()
                await eventually(lambda: readiness(daemon) == (200, None), 10)
                await pushing
                await check_all_delivered(feishu, daemon, consumer)
    assert before < 512 * 1024


async def test_a_disk_that_turns_read_only(tmp_path, bad_disk):
    """While writes fail with EROFS events get 500, and all is well once they work again."""
    flag = tmp_path / "read-only"
    async with simulator() as feishu:
        with (
            DaemonProcess(tmp_path, feishu.domain) as daemon,
            ConsumerProcess(tmp_path, daemon.socket_path) as consumer,
        ):
            daemon.env |= {"LD_PRELOAD": str(bad_disk), "BAD_DISK_READ_ONLY": str(flag)}
            await asyncio.to_thread(daemon.start)
            consumer.start()
            links = await feishu.wait_for_links(2, 15)
            assert await feishu.push(corpus.text_message(0)).confirmed() == (200, None)

            flag.touch()
            refused = [feishu.push(corpus.text_message(n)) for n in range(1, 9)]
            assert {(await delivery.confirmed(5))[0] for delivery in refused} == {500}
            await eventually(lambda: readiness(daemon) == (503, "journal_read_only"), 5)
            assert feishu.links == links

            flag.unlink()
            await eventually(lambda: readiness(daemon) == (200, None), 10)
            await check_all_delivered(feishu, daemon, consumer)


@contextlib.contextmanager
def ext4_disk(tmp_path):
    """A small ext4 file system and what makes the kernel turn it read-only."""
    image, disk = tmp_path / "image", tmp_path / "ext4"
    with image.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    disk.mkdir()
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    mount = ["mount", "-o", "loop,errors=remount-ro", str(image), str(disk)]
    subprocess.run(mount, check=True)
    try:
        source = subprocess.run(
            ["findmnt", "-n", "-o", "SOURCE", str(disk)], check=True, capture_output=True, text=True
        )
        device = Path(source.stdout.strip()).name
        yield disk, Path("/sys/fs/ext4") / device / "trigger_fs_error"
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_a_file_system_the_kernel_turned_read_only(tmp_path):
    """An ext4 that the kernel made read-only is named as the fault; the links stay."""
    with ext4_disk(tmp_path) as (disk, trigger):
        async with simulator() as feishu:
            with DaemonProcess(
                tmp_path, feishu.domain, journal__path=disk / "journal.db"
            ) as daemon:
                await asyncio.to_thread(daemon.start)
                links = await feishu.wait_for_links(2, 15)
                assert await feishu.push(corpus.text_message(0)).confirmed() == (200, None)

                trigger.write_text("1")
                assert (await feishu.push(corpus.text_message(1)).confirmed())[0] == 500
                await eventually(lambda: readiness(daemon) == (503, "journal_read_only"), 5)
                assert feishu.links == links
                assert (await asyncio.to_thread(daemon.stop))[0] == 0


def test_a_start_on_a_read_only_disk(tmp_path):
    """A journal that cannot be written at the start ends with 74 and says so."""
    with small_disk(tmp_path / "disk") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with DaemonProcess(
            tmp_path, "http://127.0.0.1:9", journal__path=disk / "journal.db"
        ) as daemon:
            daemon.start(wait=False)

            assert daemon.process.wait(15) == 74
            assert str(disk) in daemon.log()


@pytest.fixture(scope="module")
def bad_disk(tmp_path_factory):
    """The library that spoils the disk of a process."""
    library = tmp_path_factory.mktemp("lib") / "bad_disk.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


async def test_a_disk_that_hangs(tmp_path, bad_disk):
    """While fsync hangs, events get 500 after 2.8 s, links stay live, and all ends well."""
    flag = tmp_path / "hang"
    async with simulator() as feishu:
        with (
            DaemonProcess(tmp_path, feishu.domain) as daemon,
            ConsumerProcess(tmp_path, daemon.socket_path) as consumer,
        ):
            daemon.env |= {"LD_PRELOAD": str(bad_disk), "BAD_DISK_HANG": str(flag)}
            await asyncio.to_thread(daemon.start)
            consumer.start()
            links = await feishu.wait_for_links(2, 15)
            assert await feishu.push(corpus.text_message(0)).confirmed() == (200, None)

            flag.touch()
            began = time.monotonic()
            deliveries = [feishu.push(corpus.text_message(n)) for n in range(1, 20)]
            codes = {(await delivery.confirmed(5))[0] for delivery in deliveries}
            took_s = time.monotonic() - began
            assert codes == {500}
            assert 2.7 < took_s < 3.0
            assert readiness(daemon) == (503, "journal_slow")
            await asyncio.sleep(3)
            assert feishu.links == links

            flag.unlink()
            await eventually(lambda: readiness(daemon) == (200, None), 10)
            await check_all_delivered(feishu, daemon, consumer)
            code, stop_s = await asyncio.to_thread(daemon.stop)
    assert (code, stop_s < 3.0) == (0, True)


async def test_a_stop_while_the_disk_hangs(tmp_path, bad_disk):
    """SIGTERM ends the daemon within 3 s even if the disk never answers."""
    flag = tmp_path / "hang"
    async with simulator() as feishu:
        with DaemonProcess(tmp_path, feishu.domain) as daemon:
            daemon.env |= {"LD_PRELOAD": str(bad_disk), "BAD_DISK_HANG": str(flag)}
            await asyncio.to_thread(daemon.start)
            await feishu.wait_for_links(1, 15)
            flag.touch()
            feishu.push(corpus.text_message(0))
            await asyncio.sleep(0.2)
            code, stop_s = await asyncio.to_thread(daemon.stop)
    assert (code, stop_s < 3.5) == (0, True)


def disk_free(path):
    """Return the free bytes of a file system."""
    answer = subprocess.run(
        ["stat", "-f", "-c", "%a %S", str(path)], check=True, capture_output=True, text=True
    )
    blocks, size = map(int, answer.stdout.split())
    return blocks * size
