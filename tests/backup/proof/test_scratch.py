"""Scratch servers: private, bounded, gone whatever happens."""

import asyncio
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.programs import account
from backup.proof import scratch
from backup.proof.place import private_folder, scratch_place
from backup.proof.scratch import fresh_server, restored_server
from tests.clusters import Cluster
from tests.conftest import NewCluster
from tests.installations import run
from toban.backups import Trouble

if TYPE_CHECKING:
    from backup.children import Child

pytestmark = pytest.mark.integration


async def test_scratch_server_is_private_and_ends_with_its_block(around: Surroundings) -> None:
    """No TCP, a socket in a folder that nobody else may enter, and an end also in the middle of a query."""
    running: list[Child] = []

    async def work() -> None:
        async with (
            scratch_place(around.workspace) as place,
            fresh_server(around, place, major=15) as server,
            server.way.connected(settings={"statement_timeout": "0"}) as connection,
        ):
            running.append(server.child)
            assert await connection.fetchval("SHOW listen_addresses") == ""
            assert await connection.fetchval("SHOW archive_mode") == "off"
            assert await connection.fetchval("SHOW shared_preload_libraries") == ""
            assert await connection.fetchval("SHOW unix_socket_directories") == str(place / "sockets")
            status = await asyncio.to_thread((place / "sockets").stat)
            owner = account()
            assert stat.S_IMODE(status.st_mode) == 0o700
            assert status.st_uid == (owner.uid if owner else os.geteuid())
            async with asyncio.timeout(0.05):
                await connection.execute("SELECT pg_sleep(3600)")

    with pytest.raises(TimeoutError):
        await work()
    assert not running[0].running


async def test_scratch_server_takes_settings_and_says_why_it_does_not_start(around: Surroundings) -> None:
    """A setting that is none: its own words, and no time is waited for."""
    with pytest.raises(BackupError) as caught:
        async with (
            scratch_place(around.workspace) as place,
            fresh_server(around, place, major=15, settings={"wal_level": "chatty"}),
        ):
            raise AssertionError
    assert caught.value.trouble is Trouble.TOOL
    assert caught.value.why.startswith('did not start: FATAL: invalid value for parameter "wal_level": "chatty"')


async def test_locale_that_is_not_here_is_initdbs_complaint(around: Surroundings) -> None:
    """The program's last words are the reason."""
    with pytest.raises(BackupError, match="invalid locale name"):
        async with (
            scratch_place(around.workspace) as place,
            fresh_server(around, place, major=15, locale="xx_YY"),
        ):
            raise AssertionError


async def test_server_that_does_not_recover_in_time_is_given_up(around: Surroundings, new_cluster: NewCluster) -> None:
    """A standby of nobody waits for WAL for ever."""
    cluster = new_cluster(15, start=False)
    async with scratch_place(around.workspace) as place:
        data_dir = private_folder(place, "data", account())
        await asyncio.to_thread(_copied, cluster, data_dir)
        await asyncio.to_thread((data_dir / "standby.signal").touch)
        with pytest.raises(BackupError) as caught:
            async with restored_server(around, place, data_dir, within_seconds=1.0):
                raise AssertionError
    assert caught.value.trouble is Trouble.TIMEOUT
    assert caught.value.why.startswith("not ready within 1 s: ")


async def test_settings_that_came_with_the_files_are_not_followed(
    around: Surroundings, new_cluster: NewCluster
) -> None:
    """Archiving, a library, an address, a path for the log, a blind eye on bad pages: none of these is heeded."""
    cluster = new_cluster(15, start=False)
    text = (
        "archive_mode = on\narchive_command = 'false'\nshared_preload_libraries = 'nowhere'\n"
        "listen_addresses = '*'\nport = 1\nlogging_collector = on\nlog_directory = '/nowhere'\n"
        "unix_socket_directories = '/nowhere'\nssl = on\nmax_connections = 3\n"
        "zero_damaged_pages = on\nignore_checksum_failure = on\nignore_invalid_pages = on\n"
    )
    async with scratch_place(around.workspace) as place:
        data_dir = private_folder(place, "data", account())
        await asyncio.to_thread(_copied, cluster, data_dir)
        await asyncio.to_thread((data_dir / "postgresql.auto.conf").write_text, text)
        async with restored_server(around, place, data_dir, within_seconds=120) as server:
            assert server.control is not None
            async with server.way.connected() as connection:
                limit = await connection.fetchval("SHOW max_connections")
                assert int(limit) == server.control.limits["max_connections"] >= 40
                for blind in ("zero_damaged_pages", "ignore_checksum_failure", "ignore_invalid_pages"):
                    assert await connection.fetchval(f"SHOW {blind}") == "off"
            await server.stop()
            assert not server.child.running


async def test_server_that_does_not_stop_orderly_is_said(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it should write everything: its files are not to be judged then."""
    monkeypatch.setattr(scratch, "STOP_SECONDS", 0.0)
    async with scratch_place(around.workspace) as place, fresh_server(around, place, major=15) as server:
        with pytest.raises(BackupError, match="did not stop"):
            await server.stop()


def _copied(cluster: Cluster, data_dir: Path) -> None:
    run("cp", "-a", "--reflink=auto", f"{cluster.data_dir}/.", data_dir, cwd=Path("/"))
