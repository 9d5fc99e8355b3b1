"""How the embedded server is configured; given at every start, so nothing needs upgrading."""


def server_settings(major_version: int, *, durable: bool) -> dict[str, str]:
    """Settings for a small machine, for trying and developing; not for production."""
    settings = _REACH | _SIZES | _SPEED | _LOGS
    if major_version >= _IO_METHODS_SINCE:
        # Three I/O workers would be three more processes for two cores.
        settings |= {"io_method": "sync"}
    return settings if durable else settings | _NOT_DURABLE


_IO_METHODS_SINCE = 18

_REACH = {
    "listen_addresses": "127.0.0.1",
    # No Unix socket: a deep home exceeds the 107 bytes of its path, and /tmp is everybody's.
    "unix_socket_directories": "",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
}
_SIZES = {
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "min_wal_size": "128MB",
    "max_locks_per_transaction": "128",
}
_SPEED = {
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    # Parallel plans gain nothing on two cores and need /dev/shm, which containers keep tiny.
    "max_parallel_workers_per_gather": "0",
}
_LOGS = {
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a ",
    "log_min_messages": "warning",
    # Refused rows are everyday life here (unique keys, checks), and what they contain is private.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
