"""Limits and engine settings of the embedded server, and the engine's XML configuration.

The engine takes its server settings from a file named in the connection string. An unknown key
there is not reported, so engine.py reads back what must hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
REMAKE_HINT = "remove the file: the next start makes a new one"
OVERLAY = "_files_of_this_machine"
"""The engine's own database that takes any file for a table. engine.py drops it at the start."""

_XML = """<clickhouse>
    <users_config>{path}</users_config>
    <user_directories><users_xml><path>{path}</path></users_xml></user_directories>
    <max_server_memory_usage>{server_memory}</max_server_memory_usage>
    <mark_cache_size>{mark_cache}</mark_cache_size>
    <default_database>{overlay}</default_database>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <background_pool_size>2</background_pool_size>
    <background_schedule_pool_size>4</background_schedule_pool_size>
    <storage_configuration><disks><default>
        <keep_free_space_bytes>{reserve}</keep_free_space_bytes>
    </default></disks></storage_configuration>
    <macros><shard>1</shard><replica>1</replica></macros>
    <merge_tree>
        <fsync_after_insert>{fsync}</fsync_after_insert>
        <fsync_part_directory>{fsync}</fsync_part_directory>
        <min_columns_to_activate_adaptive_write_buffer>1</min_columns_to_activate_adaptive_write_buffer>
    </merge_tree>
    <users><default>
        <password></password><networks><ip>::/0</ip></networks>
        <profile>default</profile><quota>default</quota>
    </default></users>
    <profiles><default>
        <max_memory_usage>{query_memory}</max_memory_usage>
        <max_threads_min_free_memory_per_thread>{thread_memory}</max_threads_min_free_memory_per_thread>
        <async_insert>0</async_insert>
        <implicit_select>0</implicit_select>
        <allow_experimental_analyzer>1</allow_experimental_analyzer>
    </default></profiles>
    <quotas><default/></quotas>
</clickhouse>
"""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Limits of one embedded server. Sizes in bytes, times in seconds."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 0
    server_memory: int = 2048 * MIB
    query_memory: int = 1024 * MIB
    # Free for each thread of a query; the engine's own 1 GiB would mean one thread.
    thread_memory: int = 128 * MIB
    reserve: int = 512 * MIB  # of the disk: with less free space nothing is inserted or merged
    mark_cache: int = 64 * MIB
    fsync: bool = True
    threads: int = 8  # statements of the writer at once
    queue: int = 64  # of the writer, waiting; more are refused
    reader_threads: int = 4  # the same for the reader: neither waits for the other
    reader_queue: int = 16
    body_limit: int = 256 * MIB  # after decompression
    bodies_limit: int = 512 * MIB  # of all bodies of the writer that are in memory
    reader_body_limit: int = MIB // 4
    reader_bodies_limit: int = 8 * MIB
    statement_limit: int = 16 * MIB  # of a text that is not data
    body_timeout_s: float = 30.0
    held_result_limit: int = 64 * MIB  # formats that cannot be streamed
    writer_time_s: float = 300.0
    reader_time_s: float = 60.0
    reader_rows: int = 5_000_000
    reader_bytes: int = 1024 * MIB
    sessions: int = 256
    shutdown_s: float = 10.0
    parent_pid: int | None = None  # end when this process is no longer our parent

    @property
    def engine_dir(self) -> Path:
        """Folder that belongs to the engine."""
        return self.data / "engine"

    def write_xml(self) -> Path:
        """Write the engine's configuration; return its path."""
        path = self.data / "engine.xml"
        path.write_text(
            _XML.format(
                path=path,
                overlay=OVERLAY,
                server_memory=self.server_memory,
                query_memory=self.query_memory,
                thread_memory=self.thread_memory,
                mark_cache=self.mark_cache,
                fsync=int(self.fsync),
                reserve=self.reserve,
            ),
            encoding="utf-8",
        )
        return path
