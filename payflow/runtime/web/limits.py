"""What the server grants a client: a limit on everything, and what it costs us at most."""

HEADER_SECONDS = 10
"""From the connection, or from a request's first byte, to the end of its headers."""
BODY_SECONDS = 30
"""From the end of the headers to the end of the body."""
UNREAD_SECONDS = 30
"""How long an answer may lie unread before another `UNREAD_BYTES` of it are taken."""
UNREAD_BYTES = 64 * 1024
IDLE_SECONDS = 75
"""Between two requests; longer than usual proxies wait, so that it is never us who close first."""
LINGER_SECONDS = 2
"""How long we go on reading, and forgetting, what follows a refused request, so that the client
gets to read why before its connection is reset."""
LINGER_BYTES = 1024 * 1024

TARGET_BYTES = 8 * 1024
HEADER_BYTES = 32 * 1024
HEADER_FIELDS = 100
BODY_BYTES = 64 * 1024

CONNECTIONS = 2000
"""
Per process. What one keeps in memory stays below 300 KiB (headers, a body, one answer: the next
request is not begun before the last answer was read), so all of them below 600 MB at the worst.
"""
CONNECTIONS_PER_CLIENT = 200
"""Per process and client address."""
BUFFERED_BYTES = 128 * 1024
"""Of one answer in memory; the rest of a longer one waits in a temporary file."""
